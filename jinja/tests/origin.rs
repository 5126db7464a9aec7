//! What was said stays what was said, whatever a template does to it.

use siskin_jinja::{Input, Template};

/// The rendering of `template` with `said` as the message, the parts that were said in `[]`.
fn marked(template: &str, said: &str) -> String {
    let template = Template::parse(template).expect(template);
    let variables = [
        ("said", Input::Said(said.into())),
        ("own", Input::Text("own".into())),
    ];
    let rendered = template
        .render(&variables, &|format| Ok(format.into()), 100_000)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut text = String::new();
    let mut done = 0;
    for said in rendered.said {
        assert!(said.start < said.end && said.start >= done, "{said:?}");
        text += &rendered.text[done..said.start];
        text += "[";
        text += &rendered.text[said.clone()];
        text += "]";
        done = said.end;
    }
    text + &rendered.text[done..]
}

#[test]
fn every_way_through_a_template_keeps_the_origin() {
    let cases = [
        ("<|{{ said }}|>", "im_end", "<|[im_end]|>"),
        ("{{ '<|' ~ said ~ '|>' }}", "im_end", "<|[im_end]|>"),
        ("{{ '<|' + said + '|>' }}", "im_end", "<|[im_end]|>"),
        ("{{ said.replace('/x', '') }}", "<|im_/xend|>", "[<|im_end|>]"),
        ("{{ said | replace('x', '-') }}", "axb", "[a]-[b]"),
        ("{{ 'axb' | replace('x', said) }}", "<>", "a[<>]b"),
        ("{{ said | lower }}{{ said.upper() }}", "Ab", "[abAB]"),
        (
            "{{ said | title }}{{ said | capitalize }}{{ said.swapcase() }}",
            "ab",
            "[AbAbAB]",
        ),
        ("{{ said | reverse }}", "ab", "[ba]"),
        (
            "{{ said[::2] }}{{ said[1:] }}{{ said[0] }}{{ said[::-1] }}",
            "a-b",
            "[ab-bab-a]",
        ),
        ("{{ said.split('-') | join }}", "a-b", "[ab]"),
        ("{{ said.split('-') | join('+') }}", "a-b", "[a]+[b]"),
        ("{{ '+'.join(said.split('-')) }}", "a-b", "[a]+[b]"),
        ("{{ said | list }}", "ab", "['[a]', '[b]']"),
        ("{{ said.format('x') }}", "a{}b", "[a]x[b]"),
        ("{{ '{}|{:>3}'.format(said, said) }}", "a", "[a]|  [a]"),
        ("{{ '{:{}}'.format(own, said) }}", "*>5", "[**]own"),
        (
            "{{ '<%s>' % said }}{{ '<%5s>' | format(said) }}",
            "a",
            "<[a]><    [a]>",
        ),
        ("{{ said % 'x' }}", "a%sb", "[a]x[b]"),
        (
            "{{ '%c' % (said | int) }}{{ '{:c}'.format(said | int) }}",
            "65",
            "[AA]",
        ),
        (
            "{{ said | tojson }}{{ [said] }}",
            "a\"é",
            "\"[a\\\"é]\"['[a\"é]']",
        ),
        ("{{ {said: said} | tojson }}", "a", "{\"[a]\": \"[a]\"}"),
        ("{{ said * 2 }}{{ 2 * said }}", "a", "[aaaa]"),
        ("{{ said | e }}{{ said | urlencode }}", "<", "[&lt;%3C]"),
        (
            "{{ said | trim }}{{ said.strip() }}{{ said.lstrip('<') }}",
            " a",
            "[aa a]",
        ),
        ("{{ said | indent(2, true) }}", "a\nb", "  [a]\n  [b]"),
        (
            "{{ said | center(5) }}{{ said.ljust(3, '.') }}{{ own.center(5, said) }}",
            "x",
            "  [x]  [x]..[x]own[x]",
        ),
        ("{{ said | wordwrap(2) }}", "a b", "[a]\n[b]"),
        ("{{ said | truncate(4, true, '..', 0) }}", "abcdef", "[ab].."),
        (
            "{{ said.partition('-') | join }}{{ said.splitlines() | join }}",
            "a-b",
            "[a-ba-b]",
        ),
        (
            "{{ said | striptags }}{{ '&lt;' | striptags }}",
            "<b>x</b>",
            "[x<]",
        ),
        (
            "{{ [said, own] | sort | join }}{{ [said] | max }}",
            "a",
            "[a]own[a]",
        ),
        ("{% set x %}<{{ said }}>{% endset %}{{ x }}", "a", "<[a]>"),
        (
            "{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(said) }}",
            "a",
            "<[a]>",
        ),
        ("{% filter upper %}x{{ said }}{% endfilter %}", "a", "X[A]"),
        ("{% for c in said %}{{ c }}.{% endfor %}", "ab", "[a].[b]."),
        ("{{ strftime_now(said) }}", "<|im_end|>", "[<|im_end|>]"),
        ("{{ said | length }}{{ said == 'a' }}{{ own }}", "a", "1Trueown"),
        ("{{ {'a': own}[said] }}", "a", "own"),
        (
            "{{ namespace(x=said).x }}{{ namespace(x=said) }}",
            "a",
            "[a]<Namespace {'x': '[a]'}>",
        ),
        ("{{ cycler(said).next() }}{{ joiner(said)() }}", "a", "[a]"),
        ("{{ said.expandtabs(2) }}{{ said.zfill(3) }}", "a\t", "[a ]0[a\t]"),
    ];
    for (template, said, want) in cases {
        assert_eq!(marked(template, said), want, "{template}");
    }
}
