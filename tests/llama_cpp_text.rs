//! Holds tables that siskin copies from llama.cpp to the source of the llama.cpp that it is built with.

use siskin_model::tokenizer::spellings::{ENDS, INFILL, TEXTS};

/// What follows from the tables in llama.cpp's source, without the spaces: code that siskin's depends on.
const RULES: [&str; 2] = [
    "if ((has_return && has_call && has_end) || (has_call && has_flush && has_end)) { special_eog_ids.erase(end_id);",
    "if (special_eos_id != LLAMA_TOKEN_NULL && special_eog_ids.count(special_eos_id) == 0) { \
     special_eog_ids.insert(special_eos_id);",
];

#[test]
fn spellings_of_special_tokens_are_llama_cpps() {
    let code = source("src/llama-vocab.cpp");
    let groups = spellings(&code);
    let group = |action: &str| {
        let mut found = groups.iter().filter(|(_, then)| then.starts_with(action));
        match (found.next(), found.next()) {
            (Some((spellings, _)), None) => spellings.clone(),
            _ => panic!("not exactly one list of spellings is followed by {action}: {groups:#?}"),
        }
    };
    assert_eq!(group("special_eog_ids.insert(t.second)"), ENDS);
    assert_eq!(group("LLAMA_LOG_WARN(\"%s:settingtoken"), TEXTS);
    for row in &INFILL {
        let name = format!("special_{}_id", row.keys[0].trim_end_matches("_token_id"));
        assert_eq!(group(&format!("{name}=t.second;")), row.spellings, "{name}");
        let inserted = code.contains(&format!("special_eog_ids.insert({name});"));
        assert_eq!(inserted, row.ends, "{name}");
        for key in row.keys {
            let constant = key.trim_end_matches("_token_id").to_uppercase();
            let read = format!("{{LLM_KV_TOKENIZER_{constant}_ID,{name}}},");
            assert!(code.contains(&read), "{key} no longer names {name}");
        }
    }
    // These two become ends as well, so that siskin needs no tables for them.
    for name in ["special_eot_id", "special_eom_id"] {
        let spellings = group(&format!("{name}=t.second;"));
        assert!(
            spellings.iter().all(|text| ENDS.contains(&text.as_str())),
            "{name}"
        );
    }
    assert_eq!(
        groups.len(),
        INFILL.len() + 4,
        "lists that siskin does not have: {groups:#?}"
    );
    for rule in RULES {
        assert!(
            code.contains(&without_spaces(rule)),
            "llama.cpp no longer has: {rule}"
        );
    }
}

/// Lists of spellings in conditions such as `t.first == "<s>" || t.first == "<t>"`, each with the code that follows.
fn spellings(code: &str) -> Vec<(Vec<String>, &str)> {
    const TEST: &str = "t.first==\"";
    let mut groups = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(TEST) {
        rest = &rest[at..];
        let mut list = Vec::new();
        while let Some(text) = rest.strip_prefix(TEST) {
            let (spelling, after) = text.split_once('"').expect("the end of a string");
            list.push(spelling.to_owned());
            rest = after.strip_prefix("||").unwrap_or(after);
        }
        rest = rest.strip_prefix("){").expect("the end of the condition");
        groups.push((list, rest));
    }
    // What follows is only compared at its start; messages would be very long with all of it.
    let start = |code: &'_ str| code.char_indices().nth(40).map_or(code.len(), |(at, _)| at);
    groups
        .into_iter()
        .map(|(list, after)| (list, &after[..start(after)]))
        .collect()
}

/// A file of llama.cpp, without its comments and spaces.
fn source(file: &str) -> String {
    let text = std::fs::read_to_string(siskin_testing::llama_cpp().join(file)).expect("a source file");
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    without_spaces(&code.collect::<String>())
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}
