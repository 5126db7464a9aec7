//! Reads the output from the disk at the end: cards lose bytes and say nothing.

use std::path::Path;

use super::execute::Work;
use super::journal::Journal;
use super::route::{row_bytes, runs};
use super::sha::{Hash, Sha256};
use super::{ArrivingError, Event};

impl Work<'_> {
    /// Compares the output with what was written, by the hashes in `journal`.
    pub(super) fn read_back(
        &self,
        journal: &Journal,
        target: &Path,
        on_event: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), ArrivingError> {
        let error = |what: &str| ArrivingError::ReadBack {
            path: target.display().to_string(),
            what: what.to_owned(),
        };
        let mut bytes = Vec::new();
        for (position, want) in self.without_source()? {
            bytes.resize(want.len(), 0);
            self.disk.read_at(&mut bytes, position)?;
            if bytes != want {
                return Err(error("the header or a tensor without a source"));
            }
        }
        let total = self.plan.data_bytes();
        let mut so_far = 0;
        for (file, entry) in journal.shards.iter().enumerate() {
            let mut found = entry.clone();
            found.restart();
            for piece in self.route.pieces(file) {
                self.check_cancel(journal)?;
                let stretch = &self.route.files[file][piece.stretch];
                let mut sha = Sha256::new();
                for run in runs(self.plan, stretch, &piece.rows) {
                    let tensor = &self.plan.tensors[run.tensor];
                    let row_bytes = row_bytes(tensor);
                    let len = (run.rows.end - run.rows.start) * row_bytes;
                    bytes.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
                    let position = self.data_start + tensor.offset + run.rows.start * row_bytes;
                    self.disk.read_at(&mut bytes, position)?;
                    sha.update(&bytes);
                    so_far += len;
                }
                found.add(piece.stretch, sha.finish());
                on_event(Event::ReadBack { bytes: so_far, total });
            }
            let differs = |(found, want): (&Hash, &Hash)| found != want;
            if let Some(stretch) = found.written.iter().zip(&entry.written).position(differs) {
                let of = self.route.files[file][stretch].uses[0];
                return Err(error(&format!("tensor {}", self.plan.tensors[of.tensor].name)));
            }
        }
        Ok(())
    }
}
