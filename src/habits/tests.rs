use super::*;
use crate::cli;

fn program() -> Command {
    let mut program = cli::command();
    program.build();
    program
}

fn translated(line: &str) -> Result<String, String> {
    let words = line.split(' ').map(OsString::from).collect();
    let words = translate(words, &program())?;
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    Ok(words.join(" "))
}

#[test]
fn what_works_here_under_another_name() {
    let cases = [
        ("run -m a.gguf -p Why?", "run a.gguf -p Why?"),
        ("run Why? --model a.gguf", "run a.gguf Why?"),
        ("run --model=a.gguf -n 5 Why?", "run a.gguf -n 5 Why?"),
        ("run -m a.gguf -m b.gguf", "run b.gguf"),
        ("bench -m a.gguf -m b.gguf -p 64", "bench a.gguf b.gguf -p 64"),
        ("tokenize -m a.gguf -p Hello --stdin", "tokenize a.gguf -p Hello"),
        ("inspect -m a.gguf", "inspect a.gguf"),
        ("run a -no-cnv -p x", "run a --raw -p x"),
        ("run a -fa on x", "run a --flash-attn on x"),
        ("run a -fa -n 5", "run a --flash-attn on -n 5"),
        ("chat a -fa", "chat a --flash-attn on"),
        (
            "run a -sys Hi -tb 2 -ub 64",
            "run a --system Hi --threads-batch 2 --ubatch-size 64",
        ),
        ("chat a -cnv --jinja -r ###", "chat a --stop ###"),
        ("run a --reverse-prompt=### -st", "run a --stop ###"),
        ("run a --temperature 0", "run a --temp 0"),
        ("run a --predict 5 --no-warmup", "run a --n-predict 5"),
        (
            "convert d --outfile o --outtype q8_0",
            "convert d --output o --type q8_0",
        ),
        (
            "serve -m a.gguf -m b.gguf -np 4 -c 2048 -t 2 -a name --host ::1",
            "serve a.gguf b.gguf --parallel 4 -c 2048 -t 2 -a name --host ::1",
        ),
        (
            "serve a --jinja --metrics --slots -cb --sleep-idle-seconds 60",
            "serve a --idle-unload 60",
        ),
        (
            "serve a --temp 0 --top-k 1 --seed 5 --temperature 1",
            "serve a --temp 0 --top-k 1 --seed 5 --temp 1",
        ),
        // What follows a flag is its value, and what follows -- are words.
        ("run a -p -ngl", "run a -p -ngl"),
        ("run a -- -ngl", "run a -- -ngl"),
        // siskin's own flags stay what they are.
        ("bench a -r 3", "bench a -r 3"),
        ("fit a --device raspberry-pi-5", "fit a --device raspberry-pi-5"),
        ("run a -pOnce", "run a -pOnce"),
        ("run -h", "run -h"),
        ("--help", "--help"),
        ("fly away", "fly away"),
    ];
    for (typed, want) in cases {
        assert_eq!(translated(typed).as_deref(), Ok(want), "{typed}");
    }
}

#[test]
fn what_means_nothing_here_is_answered() {
    let cases = [
        ("run a -ngl 99", "-ngl: siskin computes on the CPU"),
        (
            "bench a --n-gpu-layers=99",
            "--n-gpu-layers: siskin computes on the CPU",
        ),
        ("run a -cnv", "siskin chat MODEL"),
        ("chat a -no-cnv", "siskin run MODEL --raw"),
        ("chat a -st", "answers once"),
        ("run a -b 512", "--ubatch-size N"),
        ("run a --color", "NO_COLOR=1"),
        ("run a -ctk q8_0", "--cache-type TYPE"),
        ("run a --top-nsigma 1", "--min-p"),
        ("run -hf org/name", "siskin pull NAME"),
        ("chat a --chat-template llama3", "--chat-template-file FILE"),
        ("run a --grammar g", "no grammars"),
        ("quantize a b q4_0 --pure", "llama-quantize's mixes"),
        ("run -p x -m", "-m needs a model's file"),
        ("download a/b", "siskin pull NAME"),
        ("ls", "type siskin list"),
        ("remove a", "type siskin rm NAME"),
        ("llama-server -m a.gguf", "type siskin serve MODEL"),
        ("run a --port 80", "siskin serve MODEL"),
        ("run a -np 4", "siskin serve computes several"),
        ("serve a --api-key x", "--api-key-file FILE"),
        ("serve a --slot-save-path d", "--prefix-store DIR"),
        ("serve a --ssl-key-file k", "a proxy"),
        ("serve a --timeout 600", "--max-wait TIME"),
        ("serve a -ngl 99", "-ngl: siskin computes on the CPU"),
        ("serve a -n 100", "each request says it"),
        ("create x", "siskin convert DIR"),
        ("-m a.gguf -p x", "the command comes first"),
        ("a.gguf", "siskin run a.gguf, or siskin chat a.gguf"),
    ];
    for (typed, want) in cases {
        let answer = translated(typed).expect_err(typed);
        assert!(answer.contains(want), "{typed}: {answer}");
    }
}

#[test]
fn every_row_of_the_table_works_or_answers_and_names_flags_that_exist() {
    let program = program();
    for row in FLAGS {
        for name in row.names {
            let mut reached = false;
            for command in program
                .get_subcommands()
                .filter(|command| Flags { command }.fits(row))
            {
                let flags = Flags { command };
                // The first fitting row of a name counts, and siskin's own flags come before all rows.
                let is_own = flags.find(name).is_some();
                let first = FLAGS
                    .iter()
                    .find(|row| row.names.contains(name) && flags.fits(row));
                reached |= !is_own && first.is_some_and(|first| std::ptr::eq(first, row));
                match row.here {
                    Here::As(own) => assert!(flags.find(own).is_some(), "{name}: {own}"),
                    Here::Say(answer) => assert!(answer.len() > 10, "{name}"),
                    Here::Always(_) => {}
                }
            }
            assert!(
                reached,
                "{name} is in a row that no command reaches: {:?}",
                row.here
            );
        }
    }
}

#[test]
fn no_command_of_the_table_is_one_of_siskins() {
    let program = program();
    for (names, answer) in COMMANDS {
        for name in *names {
            assert!(program.find_subcommand(name).is_none(), "{name}");
            assert!(translated(name).expect_err(name).contains(answer), "{name}");
        }
    }
}
