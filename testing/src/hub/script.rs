//! The faults, and which request has which.

/// What goes wrong with one answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(u64),
    /// The connection stays, and nothing comes after so many bytes of the body.
    Stall(u64),
    /// No answer at all, not even a status.
    Silent,
    /// The body comes at so many bytes a second.
    Trickle(u64),
    /// One byte of the body, by its position in the file, is another.
    WrongByte(u64),
    /// 200 with the whole file, although a range was asked for.
    Whole,
    /// 206 whose `Content-Range` begins so many bytes later than asked.
    WrongRange(u64),
    /// 206 without `Content-Range`.
    NoRange,
    /// `Content-Encoding: gzip`.
    Gzip,
    /// `Content-Length` is so many bytes too large.
    WrongLength(u64),
    /// No `Content-Length`: the body ends with the connection.
    NoLength,
    /// This status, with a header and its value, and no body.
    Status(u16, &'static str, String),
    /// 302 to this address.
    Redirect(String),
    /// 200 with a web page.
    Html,
    /// A good answer, but before it a branch moves to another commit: repository, branch, commit.
    Move(String, String, String),
}

#[derive(Debug, Default)]
pub(crate) struct Script(Vec<Row>);

#[derive(Debug)]
struct Row {
    pattern: String,
    fault: Fault,
    times: usize,
}

impl Script {
    pub(crate) fn add(&mut self, pattern: &str, fault: Fault, times: usize) {
        self.0.push(Row {
            pattern: pattern.to_owned(),
            fault,
            times,
        });
    }

    /// The fault of this request, which has then happened once.
    pub(crate) fn take(&mut self, path: &str) -> Option<Fault> {
        let row = self
            .0
            .iter_mut()
            .find(|row| row.times > 0 && path.contains(&row.pattern))?;
        row.times -= 1;
        Some(row.fault.clone())
    }

    pub(crate) fn left(&self) -> usize {
        self.0.iter().map(|row| row.times).sum()
    }
}
