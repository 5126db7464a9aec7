//! Names of the parts of a model: `NAME-00001-of-00003.gguf`, as llama.cpp's gguf-split and the shards of safetensors have them.

/// What is between a model's name and the file's ending: of part `number`, counted from 1, of `count`.
pub fn part_suffix(number: u64, count: u64) -> String {
    format!("-{number:05}-of-{count:05}")
}

/// The model's name, the part's number and the count, of a file's name without its ending. The numbers are as they are
/// written: they may be impossible. `None` if it is no part's name.
pub fn part_of(stem: &str) -> Option<(&str, u32, u32)> {
    let suffix = "-00001-of-00003".len();
    let (name, rest) = stem.split_at_checked(stem.len().checked_sub(suffix)?)?;
    let (number, count) = rest.strip_prefix('-')?.split_once("-of-")?;
    let digits = |text: &str| -> Option<u32> {
        let is_number = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    Some((name, digits(number)?, digits(count)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_as_it_is_written() {
        let cases = [
            ("a-00001-of-00003", Some(("a", 1, 3))),
            ("é-00000-of-00000", Some(("é", 0, 0))),
            ("-00002-of-00001", Some(("", 2, 1))),
            ("a-0001-of-00003", None),
            ("a-00001-of-0003x", None),
            ("a_00001-of-00003", None),
            ("a-+0001-of-00003", None),
            ("00001-of-00003", None),
            ("", None),
        ];
        for (stem, want) in cases {
            assert_eq!(part_of(stem), want, "{stem}");
        }
        for (number, count) in [(1, 1), (12, 512)] {
            let stem = format!("m{}", part_suffix(number, count));
            assert_eq!(part_of(&stem), Some(("m", number as u32, count as u32)));
        }
    }
}
