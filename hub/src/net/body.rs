//! The bytes of a file from an offset on, whatever happens to connections.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::answer::{Answer, Ask, is_html, of_body, wrong};
use super::client::{Client, Credential, Notice};
use super::refusal::Subject;
use super::retry::{Failure, Patience};
use super::url::Url;
use crate::HubError;

/// A file on a server, whose size is known.
#[derive(Debug)]
pub(crate) struct Source {
    /// The address that never expires.
    pub(crate) url: Url,
    pub(crate) subject: Subject,
    pub(crate) credential: Option<Credential>,
    pub(crate) len: u64,
    /// Where the last redirect led: a signed address that is good for some time.
    pub(crate) signed: Mutex<Option<Url>>,
}

impl Source {
    pub(crate) fn new(url: Url, subject: Subject, credential: Option<Credential>, len: u64) -> Self {
        Source {
            url,
            subject,
            credential,
            len,
            signed: Mutex::new(None),
        }
    }

    fn signed(&self) -> std::sync::MutexGuard<'_, Option<Url>> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One attempt at the bytes `range`. Returns the body, and how many bytes of it come before them.
    fn open(&self, client: &Client, range: Range<u64>) -> Result<(Box<dyn Read + Send>, u64), Failure> {
        let is_whole = range.start == 0 && range.end == self.len;
        // What was resolved before saves a redirect. If it has expired, the next attempt asks again.
        let signed = self.signed().take();
        let url = signed.as_ref().unwrap_or(&self.url);
        let ask = Ask {
            url,
            subject: &self.subject,
            range: (!is_whole).then(|| (range.start, (range.end < self.len).then_some(range.end))),
            accept: None,
            credential: self.credential.as_ref(),
            is_signed: signed.is_some(),
        };
        let answer = client.ask(&ask)?;
        let skip = self.check(client, &answer, &range)?;
        if !answer.url.is_same_site(&self.url) {
            *self.signed() = Some(answer.url.clone());
        }
        Ok((answer.into_reader(), skip))
    }

    /// Compares what the answer says it has with what was asked; gives the number of bytes to drop.
    fn check(&self, client: &Client, answer: &Answer, range: &Range<u64>) -> Result<u64, Failure> {
        let says = |problem: String| Failure::Again(format!("{} {problem}", answer.url.site()));
        if answer.is_partial() {
            let (found, total) = answer
                .content_range()
                .ok_or_else(|| says("sends a part without saying which".into()))?;
            if total.is_some_and(|total| total != self.len) {
                return Err(says(format!("has a file of other size than {} bytes", self.len)));
            }
            if found.start != range.start || found.end > range.end {
                return Err(says(format!(
                    "sends bytes from {} instead of from {}",
                    found.start, range.start
                )));
            }
            return Ok(0);
        }
        if let Some(len) = answer.content_length()
            && len != self.len
        {
            return Err(says(format!("sends {len} bytes, and the file has {}", self.len)));
        }
        if range.start > 0 {
            client.notice(&Notice::Skipping {
                host: answer.url.site().to_owned(),
                bytes: range.start,
            });
        }
        Ok(range.start)
    }
}

/// A reader of the bytes from an offset to an end. It connects again at the same offset after whatever ends a
/// connection; its errors are final, and [`HubError::in_io`] finds the reason in them.
pub struct Body {
    client: Client,
    source: Arc<Source>,
    /// The next byte that the caller gets.
    offset: u64,
    end: u64,
    connection: Option<Box<dyn Read + Send>>,
    /// Bytes that the connection sends before `offset`.
    skip: u64,
    patience: Patience,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("of", &self.source.subject.what)
            .field("offset", &self.offset)
            .finish()
    }
}

impl Body {
    pub(crate) fn new(client: Client, source: Arc<Source>, range: Range<u64>) -> Self {
        let end = range.end.min(source.len);
        Body {
            client,
            source,
            offset: range.start,
            end,
            connection: None,
            skip: 0,
            patience: Patience::default(),
        }
    }

    /// The position of the next byte in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// One attempt at some bytes; 0 only if `bytes` is empty.
    fn attempt(&mut self, bytes: &mut [u8]) -> Result<usize, Failure> {
        if self.client.is_cancelled() {
            return Err(HubError::Interrupted.into());
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let (connection, skip) = self.source.open(&self.client, self.offset..self.end)?;
                self.skip = skip;
                connection
            }
        };
        let mut dropped = [0; 1 << 14];
        while self.skip > 0 {
            let most = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(dropped.len());
            let read = self.receive(&mut *connection, &mut dropped[..most])?;
            self.skip -= read as u64;
        }
        let most = usize::try_from(self.end - self.offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let read = self.receive(&mut *connection, &mut bytes[..most])?;
        if self.offset == 0 && is_html(&bytes[..read]) {
            return Err(Failure::Final(HubError::Html {
                host: self.source.url.site().to_owned(),
                what: self.source.subject.what.clone(),
            }));
        }
        self.offset += read as u64;
        self.patience.reset();
        if self.offset < self.end {
            self.connection = Some(connection);
        } else {
            finish(&mut *connection);
        }
        Ok(read)
    }

    fn receive(&self, connection: &mut dyn Read, bytes: &mut [u8]) -> Result<usize, Failure> {
        match connection.read(bytes) {
            Ok(0) if !bytes.is_empty() => Err(Failure::Again("the connection was cut".into())),
            Ok(read) => {
                self.client.0.bytes.fetch_add(read as u64, Ordering::Relaxed);
                Ok(read)
            }
            Err(error) => Err(of_body(error, self.client.stall())),
        }
    }
}

/// Reads the end of a body that has been read: only then is its connection used again.
fn finish(connection: &mut dyn Read) {
    let _ = connection.read(&mut [0]);
}

impl Read for Body {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() || self.offset >= self.end {
            return Ok(0);
        }
        loop {
            let failure = match self.attempt(bytes) {
                Ok(read) => return Ok(read),
                // Only possible if the list was wrong or the file was changed under its commit.
                Err(Failure::Unsatisfiable(total)) => {
                    let size = total.map_or("less".to_owned(), |total| format!("{total} bytes"));
                    let problem = format!("the file has {size}, and its list says {}", self.source.len);
                    return Err(wrong(&self.source.url, &self.source.subject, &problem).into());
                }
                Err(failure) => failure,
            };
            let (source, client) = (Arc::clone(&self.source), self.client.clone());
            client.after(
                failure,
                &mut self.patience,
                source.url.site(),
                &source.subject.what,
            )?;
        }
    }
}
