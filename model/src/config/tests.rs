use super::*;

const SHAPE: &str =
    r#""hidden_size":256,"intermediate_size":512,"num_hidden_layers":2,"num_attention_heads":4"#;

fn config(rest: &str) -> Config {
    Config::from_json(format!("{{{SHAPE}{rest}}}").as_bytes()).expect("a config")
}

#[test]
fn both_styles_say_the_same() {
    let cases = [
        r#","rope_theta":500000.0,"partial_rotary_factor":0.25,"rope_scaling":{"type":"linear","factor":2.0}"#,
        r#","rope_parameters":{"rope_theta":500000,"rope_type":"linear","factor":2.0,"partial_rotary_factor":0.25}"#,
        r#","rotary_emb_base":500000,"rotary_pct":0.25,"rope_scaling":{"rope_type":"linear","factor":2.0}"#,
        // As transformers 4.44 and later keep the old names next to the new ones.
        r#","rotary_emb_base":500000,"rope_theta":500000,"rotary_pct":0.25,"partial_rotary_factor":0.25,
            "rope_scaling":{"rope_type":"linear","type":"linear","factor":"2"}"#,
        r#","rope_theta":1,"rope_theta":500000,"partial_rotary_factor":[0.25,0.25],
            "rope_scaling":{"type":"linear","factor":2},"rope_parameters":{"rope_type":"linear","factor":2.0}"#,
    ];
    for case in cases {
        let config = config(case);
        assert_eq!(config.problem, None, "{case}");
        assert_eq!(config.rope_theta(), 500_000.0, "{case}");
        assert_eq!(config.partial_rotary_factor(), Some(0.25), "{case}");
        assert_eq!(config.rope_scaling().and_then(|s| s.factor), Some(2.0), "{case}");
    }
}

#[test]
fn defaults() {
    for rest in [
        r#","rope_scaling":null,"eos_token_id":[7,8]"#,
        r#","rope_scaling":{},"rope_parameters":{"rope_type":"default"},"eos_token_id":[7.0,8]"#,
    ] {
        let config = config(rest);
        assert_eq!(
            (config.kv_heads(), config.head_dim(), config.rope_theta()),
            (4, 64, 10_000.0)
        );
        assert_eq!((config.rope_scaling(), &config.problem), (None, &None));
        assert_eq!(config.eos_token_id.and_then(|ids| ids.first()), Some(7));
    }
}

/// The first setting that cannot be used is kept by name, and reading goes on.
#[test]
fn problems_are_kept_by_name() {
    let cases = [
        (
            r#","head_dim":"wide""#,
            "head_dim is \"wide\"; it must be a whole number",
        ),
        (
            r#","intermediate_size":[512,256]"#,
            "intermediate_size is [512,256]: different values for the layers",
        ),
        (
            r#","rope_theta":NaN"#,
            "rope_theta is \"NaN\"; it must be a finite number",
        ),
        (
            r#","rms_norm_eps":1e999"#,
            "rms_norm_eps is \"Infinity\"; it must be a finite number",
        ),
        (
            r#","bos_token_id":"<s>""#,
            "bos_token_id is \"<s>\"; it must be a token id",
        ),
        (
            r#","architectures":5"#,
            "architectures is 5; it must be a list of texts",
        ),
        (
            r#","rope_scaling":"linear""#,
            "rope_scaling is \"linear\"; it must be an object",
        ),
        (
            r#","rope_scaling":{"factor":"x"}"#,
            "rope_scaling.factor is \"x\"; it must be a finite number",
        ),
        (
            r#","rope_scaling":{"factor":2}"#,
            "rope_scaling has a factor and no rope_type",
        ),
        (
            r#","rope_scaling":{"rope_type":"linear","type":"yarn","factor":2}"#,
            "rope_scaling has rope_type \"linear\" and type \"yarn\"",
        ),
        (
            r#","rope_scaling":{"type":"linear","factor":2},"rope_parameters":{"rope_type":"linear","factor":4}"#,
            "rope_scaling and rope_parameters differ in factor",
        ),
        (
            r#","rope_parameters":{"full_attention":{"rope_type":"linear","factor":4}}"#,
            "rope_parameters is {\"full_attention\":",
        ),
    ];
    for (rest, want) in cases {
        let problem = config(rest).problem.expect(rest);
        assert!(problem.starts_with(want), "{rest}: {problem}");
    }
    assert_eq!(
        config(r#","pad_token_id":-1"#).pad_token_id,
        Some(TokenIds::One(-1))
    );
    assert_eq!(
        config(r#","rope_scaling":{"colour":1}"#).unknown,
        ["rope_scaling.colour"]
    );
    assert!(Config::from_json(b"[]").is_err() && Config::from_json(b"").is_err());
}

/// The same in other files than `config.json`.
#[test]
fn token_ids_are_read_leniently() {
    let read = |text: &str| json::from_slice::<Option<TokenIds>>(text.as_bytes());
    assert_eq!(read("2.0").expect("an id"), Some(TokenIds::One(2)));
    assert_eq!(read("[2, 3.0]").expect("ids"), Some(TokenIds::Many(vec![2, 3])));
    assert_eq!(read("null").expect("none"), None);
    assert!(read("[2.5]").is_err() && read("{}").is_err());
}

#[test]
fn sampling_settings_as_python_writes_them() {
    let text = br#"{"top_k": 50.0, "top_p": "0.9", "min_p": NaN, "temperature": null, "repetition_penalty": [1.1], "top_k": 40.0}"#;
    let want = Sampling {
        top_k: Some(40),
        top_p: Some(0.9),
        repetition_penalty: Some(1.1),
        ..Sampling::default()
    };
    assert_eq!(Sampling::from_json(text).expect("an object"), want);
    assert!(Sampling::from_json(b"").is_err());
}

#[test]
fn a_null_is_false_if_the_default_is_true() {
    let cases = [
        ("", None),
        (r#""use_parallel_residual":null"#, Some(false)),
        (r#""use_parallel_residual":true"#, Some(true)),
    ];
    for (setting, want) in cases {
        let config = Config::from_json(format!("{{{setting}}}").as_bytes()).expect("a configuration");
        assert_eq!(config.use_parallel_residual, want, "{setting}");
    }
}
