//! A disk that forgets, at a power failure, any part of what was written since it was last synced.

use super::disk::Disk;
use super::*;
use siskin_model::atomic_file::AtomicFileError;

#[derive(Debug, Default)]
struct Image {
    /// What a power failure leaves in any case.
    durable: Vec<u8>,
    /// What programs see.
    seen: Vec<u8>,
    /// Writes since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
    journal: Option<Vec<u8>>,
    /// Operations until the power fails.
    left: u32,
}

#[derive(Debug)]
struct Forgetful(Mutex<Image>);

impl Forgetful {
    fn operate<R>(&self, operation: impl FnOnce(&mut Image) -> R) -> Result<R, AtomicFileError> {
        let mut image = self.0.lock().expect("nobody panicked");
        if image.left == 0 {
            return Err(AtomicFileError::Io {
                path: "disk".into(),
                source: io::Error::other("no power"),
            });
        }
        image.left -= 1;
        Ok(operation(&mut image))
    }

    /// The power comes back; the next failure is after `left` operations.
    fn restart(&self, random: &mut fastrand::Rng, left: u32) {
        let mut image = self.0.lock().expect("nobody panicked");
        let mut pending = std::mem::take(&mut image.pending);
        random.shuffle(&mut pending);
        for (at, bytes) in pending {
            // Pages are written whole or not at all, in any order.
            for (page, bytes) in bytes.chunks(512).enumerate().filter(|_| random.bool()) {
                let at = at + page * 512;
                image.durable[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
        image.seen = image.durable.clone();
        image.left = left;
    }
}

impl Disk for Forgetful {
    fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), AtomicFileError> {
        self.operate(|image| {
            let at = position as usize;
            image.seen[at..at + bytes.len()].copy_from_slice(bytes);
            image.pending.push((at, bytes.to_vec()));
        })
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> Result<(), AtomicFileError> {
        self.operate(|image| {
            let at = position as usize;
            bytes.copy_from_slice(&image.seen[at..at + bytes.len()]);
        })
    }

    fn sync(&self) -> Result<(), AtomicFileError> {
        self.operate(|image| {
            image.pending.clear();
            image.durable.clone_from(&image.seen);
        })
    }

    fn write_journal(&self, journal: &[u8]) -> Result<(), AtomicFileError> {
        self.operate(|image| image.journal = Some(journal.to_vec()))
    }
}

/// A conversion on such a disk.
struct Case {
    repository: Repository,
    conversion: Conversion,
    source: Source,
    disk: Forgetful,
}

impl Case {
    fn new() -> Self {
        let repository = Repository::read(&fixture("llama-sharded"));
        let conversion = repository.conversion(FileType::Q8_0);
        let bytes = conversion.file_bytes() as usize;
        Case {
            source: Source::new(&repository),
            repository,
            conversion,
            disk: Forgetful(Mutex::new(Image {
                durable: vec![0; bytes],
                ..Image::default()
            })),
        }
    }

    /// Runs until the end or the next failure; returns the bytes that were resumed.
    fn run(&self) -> Result<u64, ArrivingError> {
        let cancel = AtomicBool::new(false);
        let mut options = Arriving::new("here", StreamOptions::new(2, &cancel));
        options.checkpoint_bytes = 10_000;
        let plan = &self.conversion.plan;
        let shards = self.repository.listed();
        let lens: Vec<u64> = shards.iter().map(|shard| shard.bytes).collect();
        let route = Route::new(plan, &lens, PIECE_WEIGHTS).expect("a route");
        let fresh = Journal::new("here", fingerprint(plan, &options.stream), &route, shards.iter());
        let journal = self.disk.0.lock().expect("nobody panicked").journal.clone();
        let journal = journal.map(|text| fresh.resumed(&text, &route).expect("a good journal"));
        let journal = journal.filter(|journal| journal.consumed() > 0).unwrap_or(fresh);
        let resumed = journal.consumed();
        let of_file: Vec<usize> = (0..shards.len()).collect();
        let work = Work {
            plan,
            data_start: data_start(&plan.metadata, &crate::convert::infos(plan), DEFAULT_ALIGNMENT),
            route: &route,
            shards: &shards,
            of_file: &of_file,
            source: &self.source,
            disk: &self.disk,
            options: &options,
        };
        let journal = work.execute(journal, &mut |_| {})?;
        work.read_back(&journal, Path::new("disk"), &mut |_| {})?;
        Ok(resumed)
    }
}

#[test]
fn whatever_the_disk_forgets_the_bytes_are_right_at_the_end() {
    let mut case = Case::new();
    let expected = case.repository.expected(FileType::Q8_0);
    let (mut failures, mut resumed) = (0, 0);
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let len = expected.len();
        case.disk = Forgetful(Mutex::new(Image {
            durable: vec![0; len],
            ..Image::default()
        }));
        let mut left = random.u32(1..60);
        loop {
            case.disk.restart(&mut random, left);
            match case.run() {
                Ok(bytes) => {
                    resumed += u32::from(bytes > 0);
                    break;
                }
                Err(error) => assert!(matches!(error, ArrivingError::Target(_)), "seed {seed}: {error}"),
            }
            failures += 1;
            // It must end some time.
            left += random.u32(1..60);
        }
        let image = case.disk.0.lock().expect("nobody panicked");
        assert!(image.durable == expected, "seed {seed}");
    }
    assert!(failures > 200 && resumed > 100, "{failures} {resumed}");
}

#[test]
fn bytes_that_the_disk_loses_in_silence_are_found() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..20 {
        let case = Case::new();
        case.disk.restart(&mut random, u32::MAX);
        // Everything is written and synced; then a bit changes.
        case.run().expect("complete");
        let tensor = random.usize(..case.conversion.plan.tensors.len());
        let tensor = &case.conversion.plan.tensors[tensor];
        let start = case.conversion.file_bytes() - case.conversion.plan.data_bytes() + tensor.offset;
        let at = start + random.u64(..tensor.bytes());
        case.disk.0.lock().expect("nobody panicked").seen[at as usize] ^= 4;
        // The journal says that all is there, so the next run only reads back; the header is written again.
        let error = case.run().expect_err("a changed bit");
        assert!(matches!(error, ArrivingError::ReadBack { .. }), "{error}");
        assert!(error.to_string().contains(&tensor.name), "{error}");
    }
}
