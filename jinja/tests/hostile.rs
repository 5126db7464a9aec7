//! Templates that mean harm: each ends soon, in little memory, on a small stack, with a text or an error.

use std::time::{Duration, Instant};

use siskin_jinja::{Input, Template};

/// The stack that everything must do with, in bytes. A thread's default is 2 MiB, a program's main thread has 8.
const STACK: usize = if cfg!(debug_assertions) {
    2 << 20
} else {
    512 << 10
};

/// Runs `work` on a small stack; fails if it panics.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
    thread.expect("a thread").join().expect("no panic");
}

/// Renders, to a text or an error, soon.
fn survives(source: &str) {
    let message = Input::Map(vec![
        ("role".into(), Input::Text("user".into())),
        ("content".into(), Input::Said("x".repeat(10_000))),
    ]);
    let variables = [("messages", Input::List(vec![message]))];
    let start = Instant::now();
    if let Ok(template) = Template::parse(source) {
        let _ = template.render(&variables, &|_| Ok(String::new()), 400_000);
    }
    // Alone, each takes a fraction of a second.
    let shown: String = source.chars().take(200).collect();
    assert!(start.elapsed() < Duration::from_secs(10), "{shown}");
}

#[test]
fn chains_and_nesting_do_not_overflow_the_stack() {
    on_a_small_stack(chains);
}

fn chains() {
    let n = 20_000;
    let cases = [
        format!("{{{{ 1{} }}}}", "+1".repeat(n)),
        format!("{{{{ 1{} }}}}", "~1".repeat(n)),
        format!("{{{{ 1{} }}}}", "*1".repeat(n)),
        format!("{{{{ 1{} }}}}", "**1".repeat(n)),
        format!("{{{{ 1{} }}}}", "<2".repeat(n)),
        format!("{{{{ 1{} }}}}", " and 1".repeat(n)),
        format!("{{{{ 1{} }}}}", " or 1".repeat(n)),
        format!("{{{{ 1{} }}}}", " if 1".repeat(n)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(n)),
        format!("{{{{ 1{} }}}}", " is defined".repeat(n)),
        format!("{{{{ 1{} }}}}", ",1".repeat(n)),
        format!("{{{{ a{} }}}}", ".a".repeat(n)),
        format!("{{{{ a{} }}}}", "()".repeat(n)),
        format!("{{{{ a{} }}}}", "[0]".repeat(n)),
        format!("{{{{ a{} }}}}", "|e".repeat(n)),
        format!("{{{{ 'a'{} }}}}", "'a'".repeat(n)),
        format!("{{{{ {}1 }}}}", "not ".repeat(n)),
        format!("{{{{ {}1 }}}}", "-".repeat(n)),
        format!("{{{{ {}1 }}}}", "+".repeat(n)),
        format!("{{{{ {}1{} }}}}", "(".repeat(n), ")".repeat(n)),
        format!("{{{{ {}1{} }}}}", "[".repeat(n), "]".repeat(n)),
        format!("{{{{ {}1{} }}}}", "{1:".repeat(n), "}".repeat(n)),
        format!("{{{{ {}1{} }}}}", "a(".repeat(n), ")".repeat(n)),
        format!("{{{{ {}1{} }}}}", "a[".repeat(n), "]".repeat(n)),
        format!("{{{{ 1{}{} }}}}", "|d(1".repeat(n), ")".repeat(n)),
        format!("{{{{ 1{} }}}}", " is in 1".repeat(n)),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(n)),
        format!("{}{}", "{% if 1 %}".repeat(n), "{% endif %}".repeat(n)),
        format!("{}{}", "{% for x in [1] %}".repeat(n), "{% endfor %}".repeat(n)),
        format!("{}{}", "{% macro f() %}".repeat(n), "{% endmacro %}".repeat(n)),
        format!("{}{}", "{% set x %}".repeat(n), "{% endset %}".repeat(n)),
        format!(
            "{}{}",
            "{% filter upper %}".repeat(n),
            "{% endfilter %}".repeat(n)
        ),
        format!("{}{}", "{% call f() %}".repeat(n), "{% endcall %}".repeat(n)),
        format!("{{% set {}a{} = 1 %}}", "(".repeat(n), ")".repeat(n)),
        "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}".into(),
        "{% macro f(n) %}{% call f(1) %}{{ caller() }}{% endcall %}{% endmacro %}{{ f(0) }}".into(),
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".into(),
        "{% set n = namespace() %}{% macro f() %}{{ n.f() }}{% endmacro %}{% set n.f = f %}{{ f() }}".into(),
    ];
    for source in cases {
        survives(&source);
    }
    // What may be nested at most, around the deepest of expressions and calls.
    for depth in [10, 30, 60] {
        let deep = |inner: &str| {
            let (open, close) = ("{% if 1 %}".repeat(depth / 2), "{% endif %}".repeat(depth / 2));
            format!(
                "{open}{{{{ {}{inner}{} }}}}{close}",
                "[(".repeat(depth / 4),
                ")]".repeat(depth / 4)
            )
        };
        survives(&deep("1"));
        survives(&format!(
            "{{% macro f(x) %}}{}{{% endmacro %}}{{{{ f(1) }}}}",
            deep("f(x)")
        ));
        survives(&format!(
            "{{% macro f(x) %}}{}{{% endmacro %}}{{{{ f(1) }}}}",
            deep("[1] | map('string') | map(f(x))")
        ));
    }
}

#[test]
fn values_that_hold_themselves_or_one_another_are_finite() {
    on_a_small_stack(values);
}

fn values() {
    let own = "{% set n = namespace() %}{% set n.a = n %}{% set m = namespace(a=n) %}{% set n.b = [m] %}";
    let deep = "{% set n = namespace(l=[1], m=[1]) %}{% for i in range(60000) %}{% set n.l = [n.l] %}{% set n.m = [n.m] %}{% endfor %}";
    let chain =
        "{% set n = namespace(l=1) %}{% for i in range(20000) %}{% set n.l = namespace(a=n.l) %}{% endfor %}";
    let wide = "{% set n = namespace(l=[1], m=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% set n.m = [n.m, n.m] %}{% endfor %}";
    let iterators = "{% set n = namespace(l=[1], m=[1]) %}{% for i in range(60000) %}{% set n.l = [n.l] | reverse %}{% endfor %}";
    for make in [own, deep, chain, wide, iterators] {
        for use_it in [
            "{{ n }}",
            "{{ n.l }}",
            "{{ n | tojson }}",
            "{{ n.l | tojson }}",
            "{{ n ~ '' }}",
            "{{ [n] | join }}",
            "{{ raise_exception(n) }}",
            "{{ n.l == n.m }}",
            "{{ n.l < n.m }}",
            "{{ [n.l, n.m] | sort | length }}",
            "{{ [n.l, n.m] | unique | list | length }}",
            "{{ n.l in n.m }}",
            "{{ n.l in [n.m] }}",
            "{{ {n.l: 1} }}",
            "{{ '%s' % n.l }}",
            "{{ '{}'.format(n.l) }}",
            "{{ n.l | string | length }}",
            "{{ n.l | pprint }}",
            "{{ [n.l] | groupby(0) }}",
            "{{ n.l | sum }}",
            "{{ n.l | map('string') | list }}",
            "{{ n.l is sameas n.m }}",
            "{{ n.a.a.a.a is defined }}",
            "{{ [n.l, n.m] | max }}",
            "{{ n.l.copy }}",
        ] {
            survives(&format!("{make}{use_it}"));
        }
    }
}

#[test]
fn extreme_arguments_are_refused_or_harmless() {
    on_a_small_stack(extreme);
}

fn extreme() {
    let values = [
        "'a'",
        "'a\tb\nc'",
        "messages[0].content",
        "[1, 2, 3]",
        "[]",
        "{'a': 1}",
        "1.5",
        "12345678901234567890",
        "none",
        "zz",
        "range(99999)",
        "true",
    ];
    let numbers = [
        "0",
        "-1",
        "1000000000",
        "-1000000000",
        "10 ** 30",
        "-(2 ** 126)",
        "none",
        "''",
        "'x' * 1000",
        "[]",
        "1e308",
    ];
    let calls = [
        "[#]",
        "[#:]",
        "[:#]",
        "[::#]",
        "* #",
        "+ #",
        "- #",
        "/ #",
        "// #",
        "% #",
        "** #",
        "== #",
        "< #",
        "in [#]",
        "| indent(#)",
        "| indent(#, true, true)",
        "| center(#)",
        "| batch(#)",
        "| batch(#, 0)",
        "| slice(#)",
        "| slice(#, 0)",
        "| wordwrap(#)",
        "| wordwrap(3, false, #)",
        "| truncate(#)",
        "| truncate(3, false, '', #)",
        "| round(#)",
        "| round(#, 'floor')",
        "| int(#)",
        "| int(0, #)",
        "| float(#)",
        "| replace('', #)",
        "| replace('a', 'b', #)",
        "| tojson(indent=#)",
        "| tojson(separators=[#, #])",
        "| join(#)",
        "| sum(start=#)",
        "| map(attribute=#) | list",
        "| sort(attribute=#)",
        "| groupby(#)",
        "| default(#)",
        "| format(#)",
        "| filesizeformat",
        "| xmlattr(#)",
        "| urlencode",
        "| striptags",
        "| map('center', #) | list",
        "| select('divisibleby', #) | list",
        "is divisibleby(#)",
        "is in(#)",
        "| attr(#)",
        "| unique(attribute=#) | list",
        "| dictsort(by=#)",
        "| random",
        "| max(attribute=#)",
        "| trim(#)",
        "| wordcount",
        ".center(#)",
        ".ljust(#, '\u{1f99c}')",
        ".rjust(#)",
        ".zfill(#)",
        ".expandtabs(#)",
        ".split(none, #)",
        ".rsplit('a', #)",
        ".replace('', 'xx', #)",
        ".find('a', #)",
        ".count('', #)",
        ".startswith('a', #, #)",
        ".join(#)",
        ".splitlines(#)",
        ".format(#)",
        ".index(1, #)",
        ".get(#)",
        ".removeprefix(#)",
        ".strip(#)",
    ];
    let mut sources: Vec<String> = Vec::new();
    for call in calls {
        // Several in one template: an error ends it, so each has its own.
        for value in values {
            for number in numbers {
                sources.push(format!(
                    "{{{{ (({value}) {}) is defined }}}}",
                    call.replace('#', number)
                ));
            }
        }
    }
    for pattern in [
        "{:>1000000000}",
        "{:.1000000000f}",
        "{:.1000000000}",
        "{:>{}}",
        "{:99999999999999999999}",
        "{0[0][0]}",
        "{:1000000000,}",
        "{:{:{}}}",
        "{!x}",
        "{:%}",
    ] {
        for value in ["1", "1.5", "'a'", "none", "10 ** 30"] {
            sources.push(format!("{{{{ '{pattern}'.format({value}, 1000000000) }}}}"));
        }
    }
    for pattern in [
        "%1000000000d",
        "%.1000000000f",
        "%.1000000000d",
        "%*d",
        "%.*f",
        "%99999999999999999999s",
        "%(a",
        "%",
        "%1000000000c",
    ] {
        for value in ["1", "1.5", "'a'", "(1000000000, 1)", "{}"] {
            sources.push(format!("{{{{ '{pattern}' % {value} }}}}"));
        }
    }
    sources.extend([
        "{{ range(10 ** 9) | list }}", "{{ range(2 ** 126, -(2 ** 126)) }}", "{{ 'a' * 10 ** 9 }}", "{{ [1] * 10 ** 9 }}", "{{ '' * 10 ** 9 }}",
        "{{ [] * 10 ** 9 }}", "{{ 10 ** 10 ** 10 }}", "{{ 2 ** 2 ** 2 ** 20 }}", "{{ 1e308 * 10 }}", "{{ -(2 ** 126) * 4 }}",
        "{{ 9223372036854775807 + 1 }}", "{{ ('9' * 10000) | int }}", "{{ ('9' * 10000) | float }}", "{{ 1 // 0.0 }}", "{{ (1e999) | int }}",
        "{{ dict([[1]]) }}", "{{ dict(1) }}", "{{ namespace(1) }}", "{{ cycler() }}", "{{ joiner(1)() }}", "{{ lipsum(10 ** 9) }}",
        "{{ strftime_now('%Y' * 100000) }}", "{{ raise_exception() }}", "{{ raise_exception([messages] * 100) }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(64) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(64) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% set n = namespace(s='aa') %}{% for i in range(64) %}{% set n.s = n.s.replace('a', 'aaaa') %}{% endfor %}",
        "{% set n = namespace(s='aa') %}{% for i in range(64) %}{% set n.s = n.s.join(n.s) %}{% endfor %}",
        "{% set n = namespace(s=[1]) %}{% for i in range(64) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% set n = namespace(x=(1,)) %}{% for i in range(64) %}{% set n.x = (n.x, n.x) %}{% endfor %}{{ {n.x: 1} | length }}",
        "{% set n = namespace(x=(1,)) %}{% for i in range(64) %}{% set n.x = (n.x, n.x) %}{% endfor %}{{ n.x in {} }}",
        "{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% for i in range(9000) %}{% set x = 'a' | indent(900000, true) %}{% endfor %}",
        "{% set a = messages[0].content * 10 %}{% for i in range(100000) %}{% set x = a.find('xb') %}{% set x = a.count('b') %}{% set x = a[5:9] %}{% set x = a | length %}{% endfor %}",
        "{% for i in range(100000) %}{% set x = '{:>9999}{:>9999}'.format(1, 2) %}{% endfor %}",
        "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{{ '\\ud83d' }}", "{{ '\\N{DASH}' }}", "{{ '\\U99999999' }}", "{{ '\\x' }}", "{{ 'a\\", "{{ '", "{{ 1e", "{{ 0x }}", "{{ 99999999999999999999999999999999999999999 }}",
    ].map(str::to_owned));
    for source in sources {
        survives(&source);
    }
}
