//! A list of strings in one buffer, so that a vocabulary of several hundred thousand tokens does not need as
//! many allocations.

use std::ops::Range;

/// Strings stored one after another, and the end offset of each.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty list with space for `count` offsets.
    pub(super) fn with_capacity(count: usize) -> Self {
        Strings {
            text: String::new(),
            ends: Vec::with_capacity(count),
        }
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if the list is empty.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns string `index`, or `None` if there is none.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.text.get(self.range(index)?)
    }

    /// Appends a string.
    ///
    /// # Panics
    /// If all strings together exceed 4 GiB. A header may take 256 MiB at most.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        let end = u32::try_from(self.text.len()).expect("less than 4 GiB of texts");
        self.ends.push(end);
    }

    /// Iterates over the strings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.len()).map(|index| &self[index])
    }

    /// Total length of all strings in bytes.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Frees memory that was reserved but is not used.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    fn range(&self, index: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(index)? as usize;
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        Some(start..end)
    }
}

impl std::ops::Index<usize> for Strings {
    type Output = str;

    fn index(&self, index: usize) -> &str {
        self.get(index).expect("an index below the length")
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut strings = Strings::new();
        texts.into_iter().for_each(|text| strings.push(text.as_ref()));
        strings
    }
}

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_were_put() {
        let texts = ["", "a", "größer", "", "\u{1f600}"];
        let strings: Strings = texts.into_iter().collect();
        assert_eq!(strings.iter().collect::<Vec<_>>(), texts);
        assert_eq!((strings.len(), strings.text_len()), (5, 13));
        assert_eq!((strings.get(4), strings.get(5)), (Some("\u{1f600}"), None));
        assert_eq!(format!("{:?}", Strings::from_iter(["x"])), r#"["x"]"#);
        assert!(Strings::new().is_empty());
    }
}
