//! A process that converts is killed at any moment; the next one goes on, and the bytes are right.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;

/// The file that the child writes.
const TARGET: &str = "SISKIN_TEST_ARRIVING";
const TYPE: FileType = FileType::Q8_0;

/// As slow as a network: a page, and a rest.
struct Slow<'a>(Box<dyn Read + Send + 'a>);

impl Read for Slow<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(Duration::from_micros(50));
        self.0.read(bytes)
    }
}

struct SlowSource(Source);

impl Shards for SlowSource {
    fn open(&self, shard: usize, offset: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Slow(self.0.open(shard, offset)?)))
    }
}

/// What the killed process does.
#[test]
#[ignore = "the process that the other tests here start and kill"]
fn child_that_converts() {
    let target = std::env::var_os(TARGET).expect("started by a test");
    let repository = Repository::read(&fixture("llama-sharded"));
    let source = SlowSource(Source::new(&repository));
    let cancel = AtomicBool::new(false);
    let mut options = Arriving::new("here", StreamOptions::new(2, &cancel));
    options.checkpoint_bytes = 4096;
    let (conversion, shards) = (repository.conversion(TYPE), repository.listed());
    let target = Path::new(&target);
    let mut say = |event: Event<'_>| {
        if let Event::Begin { resumed, anew, .. } = event {
            println!("\nbegin {resumed} {}", anew.is_some());
            let _ = io::stdout().flush();
        }
    };
    run(
        &conversion,
        &shards,
        &source,
        target,
        Overwrite::Refuse,
        &options,
        &mut say,
    )
    .expect("complete");
}

/// A process that is killed in any case.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    resumed: u64,
    complete: u64,
}

fn kill(kills: u64, seed: u64) -> Tally {
    let repository = Repository::read(&fixture("llama-sharded"));
    let expected = repository.expected(TYPE);
    let dir = tempfile::tempdir().expect("a folder");
    let target = dir.path().join("out.gguf");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tally = Tally::default();
    let mut whole = None;
    while tally.kills < kills {
        let has_journal = dir.path().join(".out.gguf.pull.json").exists();
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "arriving::tests::kill::child_that_converts",
            ])
            .env(TARGET, &target)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let mut child = Killed(child);
        let lines = BufReader::new(child.0.stdout.take().expect("its output")).lines();
        let mut lines = lines
            .map_while(Result::ok)
            .skip_while(|line| !line.starts_with("begin"));
        let begun = lines.next().expect("it begins");
        assert!(
            begun.ends_with("false") || !has_journal,
            "what a killed process leaves is continued: {begun}"
        );
        tally.resumed += u64::from(!begun.starts_with("begin 0"));
        match whole {
            // The first is not killed: it tells how long a conversion takes here.
            None => {
                let start = Instant::now();
                assert!(child.0.wait().expect("it ends").success());
                whole = Some(start.elapsed());
            }
            Some(whole) => {
                std::thread::sleep(whole.mul_f64(random.f64()));
                tally.kills += 1;
            }
        }
        drop(child);
        if target.exists() {
            assert!(bytes_of(&target) == expected, "{tally:?}");
            std::fs::remove_file(&target).expect("removed");
            tally.complete += 1;
        }
    }
    // Whoever comes last completes it.
    let (source, cancel) = (Source::new(&repository), AtomicBool::new(false));
    let mut options = Arriving::new("here", StreamOptions::new(2, &cancel));
    options.checkpoint_bytes = 4096;
    let (conversion, shards) = (repository.conversion(TYPE), repository.listed());
    run(
        &conversion,
        &shards,
        &source,
        &target,
        Overwrite::Refuse,
        &options,
        &mut |_| {},
    )
    .expect("complete");
    assert!(bytes_of(&target) == expected, "{tally:?}");
    tally
}

#[test]
fn a_killed_process_leaves_what_the_next_one_completes() {
    let tally = kill(20, 1);
    assert!(tally.resumed > 0, "{tally:?}");
}

#[test]
#[ignore = "a soak of 200 kills"]
fn two_hundred_kills_leave_what_is_right() {
    let tally = kill(200, 2);
    println!("{tally:?}");
    assert!(tally.resumed > 50 && tally.complete > 5, "{tally:?}");
}
