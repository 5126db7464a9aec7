//! llama.cpp's pre-tokenizers by name: the steps that split a text, each of them within the words of the one before.
//!
//! Source: `llm_tokenizer_bpe` and `llama_vocab::impl::load` of llama.cpp. A step gives what llama.cpp's gives, even if
//! the expression of the model's own `tokenizer.json` gives something else: to llama.cpp `\p{Lu}` is any letter.

use super::words::Words;

/// One way to split.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Words(Words),
    /// An expression in the syntax of [`super::expression`]: its matches, and what is between them.
    Expression(&'static str),
    /// Blanks at the end of the text, apart from the rest.
    TrailingBlanks,
    /// Runs of blanks without a line end at their end, in pieces of 512, 256, … blanks.
    Cascade,
    /// Numbers in groups of three from their right end; the first group takes along what is before it.
    Thousands,
    /// ASCII digits in groups of three from their right end.
    AsciiThousands,
}

/// Pre-tokenizers that split alike.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) names: &'static [&'static str],
    pub(super) steps: &'static [Source],
    /// Whether a word that is a token is taken whole instead of being merged from its parts.
    pub(super) whole_words: bool,
    /// Whether a text begins with BOS if the file has no key for it.
    pub(super) adds_bos: bool,
}

use Source::{AsciiThousands, Cascade, Expression, Thousands, TrailingBlanks};
const GPT2: Source = Source::Words(Words::Gpt2);
const LLAMA3: Source = Source::Words(Words::Llama3 { digits: 3 });
const QWEN2: Source = Source::Words(Words::Llama3 { digits: 1 });
const NUMBERS: Source = Expression(r"\p{N}");
const KANA_AND_HAN: Source = Expression(r"[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+");
const HAN_AND_HANGUL: Source = Expression(r"[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+");
const UP_TO_SIGNS: Source =
    Expression(r" ?[^(\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+");

macro_rules! endings {
    () => {
        "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    };
}
/// Letters with one character before them.
macro_rules! letters {
    () => {
        r"[^\r\n\p{L}\p{N}]?\p{L}+"
    };
}
/// Signs, with a blank before them and line ends after them.
macro_rules! signs {
    () => {
        r" ?[^\s\p{L}\p{N}]+[\r\n]*"
    };
}
macro_rules! signs_or_slashes {
    () => {
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
    };
}
macro_rules! blanks {
    () => {
        r"\s*[\r\n]+|\s+(?!\S)|\s+"
    };
}
/// Words of letters in which no small letter comes before a capital, and words of capitals, by ASCII's letters.
macro_rules! cased {
    ($ending:expr) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+",
            $ending,
            r"|[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]+[\p{L}&&[^A-Z]]*",
            $ending
        )
    };
}
macro_rules! marked {
    () => {
        concat!(r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+", endings!(), "?")
    };
}
/// DeepSeek V3's words: an ASCII sign before ASCII letters, letters with marks, signs.
macro_rules! signed {
    () => {
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"##
    };
}
const DEEPSEEK3: Source = Expression(concat!(signed!(), r"[\r\n]*|", blanks!()));

const fn row(names: &'static [&'static str], steps: &'static [Source]) -> Row {
    Row {
        names,
        steps,
        whole_words: false,
        adds_bos: false,
    }
}

const fn whole(row: Row) -> Row {
    Row {
        whole_words: true,
        ..row
    }
}

const fn with_bos(row: Row) -> Row {
    Row {
        adds_bos: true,
        ..row
    }
}

/// All of llama.cpp's, except those that do not spell bytes (gemma4 and its like, whitespace) and those that assume no
/// BOS (chatglm-bpe, glm4, glm5).
pub(super) const TABLE: [Row; 30] = [
    row(
        &["default", ""],
        &[
            Expression(r"[\p{P}$+<=>^~|]+"),
            GPT2,
            Expression(r"\p{N}+"),
            Expression("[0-9]{3}"),
        ],
    ),
    row(
        &[
            "a.x-4.0",
            "exaone4",
            "gigachat",
            "gpt-2",
            "granite-docling",
            "jais",
            "jina-de",
            "jina-es",
            "jina-v1-en",
            "jina-v2-code",
            "jina-v2-de",
            "jina-v2-es",
            "mellum",
            "modern-bert",
            "mpt",
            "olmo",
            "phi-2",
            "roberta-bpe",
            "trillion",
        ],
        &[GPT2],
    ),
    with_bos(whole(row(
        &[
            "falcon-h1",
            "falcon3",
            "jina-v5-nano",
            "lfm2",
            "llama-bpe",
            "llama-v3",
            "llama3",
            "midm-2.0",
            "pixtral",
        ],
        &[LLAMA3],
    ))),
    row(&["dbrx", "smaug-bpe"], &[LLAMA3]),
    row(
        &[
            "deepseek-r1-qwen",
            "f2llmv2",
            "grok-2",
            "hunyuan",
            "kormo",
            "megrez",
            "qwen2",
            "solar-open",
            "stablelm2",
        ],
        &[QWEN2],
    ),
    row(
        &["qwen35"],
        &[Expression(concat!(
            endings!(),
            r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|",
            blanks!()
        ))],
    ),
    row(
        &[
            "codeshell",
            "command-r",
            "exaone",
            "mellum2",
            "minerva-7b",
            "refact",
            "smollm",
            "starcoder",
        ],
        &[NUMBERS, GPT2],
    ),
    row(
        &["falcon"],
        &[Expression(r"[\p{P}$+<=>^~|`]+"), GPT2, Expression("[0-9]{3}")],
    ),
    row(
        &["deepseek-llm"],
        &[
            Expression(r"[\r\n]"),
            Expression(CASED_SCRIPTS),
            Expression(r"\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}]+"),
            TrailingBlanks,
            HAN_AND_HANGUL,
            Expression(r"\p{N}+"),
        ],
    ),
    row(
        &["deepseek-coder"],
        &[
            Expression(r"[\r\n]"),
            Expression(r"\s?\p{L}+"),
            Expression(r"\s?\p{P}+"),
            HAN_AND_HANGUL,
            NUMBERS,
        ],
    ),
    row(
        &["deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm"],
        &[Expression(r"\p{N}{1,3}"), KANA_AND_HAN, DEEPSEEK3],
    ),
    row(
        &["spark2_5"],
        &[
            Expression(r"\p{N}{1,3}"),
            KANA_AND_HAN,
            Expression(concat!(signed!(), r"|[\r\n]|\s+(?!\S)|\s+")),
            NUMBERS,
        ],
    ),
    whole(row(
        &["youtu"],
        &[
            Expression(
                r"[\u{ac00}-\u{d7a3}\u{3131}-\u{318e}]+|[\u{ff01}\u{2026}\u{201c}\u{201d}\u{2018}\u{2019}\u{2014}\u{ff1a}\u{ff1b}\u{ff0c}\u{3001}-\u{303f}\u{fe30}-\u{fe4f}]+|[\u{3105}-\u{312f}]+|[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+",
            ),
            Expression(concat!(
                marked!(),
                r"|\p{N}|",
                signs_or_slashes!(),
                "|",
                blanks!()
            )),
        ],
    )),
    row(&["bloom", "gpt3-finnish", "poro-chat"], &[UP_TO_SIGNS]),
    row(&["viking"], &[UP_TO_SIGNS, NUMBERS]),
    with_bos(whole(row(
        &["tekken"],
        &[Expression(concat!(
            cased!(""),
            r"|\p{N}|",
            signs_or_slashes!(),
            "|",
            blanks!()
        ))],
    ))),
    row(
        &["gpt-4o", "kanana2", "llama4", "minimax-m2", "talkie"],
        &[Expression(concat!(
            cased!(concat!(endings!(), "?")),
            r"|\p{N}{1,3}|",
            signs_or_slashes!(),
            "|",
            blanks!()
        ))],
    ),
    whole(row(
        &["granite-embed-multi-97m"],
        &[Expression(concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^a-z]]*[\p{L}\p{M}&&[^A-Z]]+",
            endings!(),
            r"?|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^a-z]]+[\p{L}\p{M}&&[^A-Z]]*",
            endings!(),
            r"?|\p{N}{1,3}|",
            signs_or_slashes!(),
            "|",
            blanks!()
        ))],
    )),
    row(
        &["cohere2moe", "tiny_aya"],
        &[
            Thousands,
            Expression(concat!(
                marked!(),
                r"|\p{N}{1,3}|",
                signs_or_slashes!(),
                "|",
                blanks!()
            )),
        ],
    ),
    with_bos(row(
        &["chameleon"],
        &[
            Expression("<sentinel:[0-9]+>"),
            Expression("IMGIMG[A-I]{1,4}Z"),
            Expression(r"[\t\n]|    |  "),
            NUMBERS,
            Expression(r"[\p{P}!-/:-@\[-`{-~]"),
            GPT2,
        ],
    )),
    whole(row(
        &["minicpm5"],
        &[
            Expression(r"\p{N}{1,3}"),
            Expression(concat!(
                endings!(),
                "|",
                letters!(),
                r"|\p{N}+|",
                signs!(),
                "|",
                blanks!()
            )),
        ],
    )),
    row(&["jais-2"], &[LLAMA3, Cascade]),
    row(
        &["kimi-k2"],
        &[Expression(concat!(
            r"[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2ebef}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]+|",
            r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2ebef}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]]+",
            endings!(),
            r"?|\p{N}{1,3}|",
            signs!(),
            "|",
            blanks!()
        ))],
    ),
    row(&["superbpe"], &[Expression(r"\p{N}+"), AsciiThousands]),
    row(
        &["bailingmoe", "bailingmoe2", "llada-moe"],
        &[Expression(concat!(
            endings!(),
            "|",
            letters!(),
            r"|\p{N}|",
            signs!(),
            r"|\s*[\r\n]|\s+(?!\S)|\s+"
        ))],
    ),
    row(
        &["seed-coder"],
        &[Expression(concat!(
            endings!(),
            "|",
            letters!(),
            r"|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|",
            blanks!()
        ))],
    ),
    row(
        &["ufakzeka"],
        &[Expression(concat!(
            letters!(),
            r"|\p{N}|",
            signs!(),
            "|",
            blanks!()
        ))],
    ),
    row(
        &["afmoe"],
        &[
            Thousands,
            Expression(
                r"[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{8c48}-\u{faff}\u{3040}-\u{309f}\u{30a0}-\u{30ff}\u{ff65}-\u{ff9f}\u{2f00}-\u{2fdf}\u{e40}-\u{e7f}\u{e80}-\u{eff}\u{1780}-\u{17ff}\u{1000}-\u{109f}\u{aa60}-\u{aa7f}\u{a9e0}-\u{a9ff}\u{ac00}-\u{d7af}\u{1100}-\u{11ff}]+",
            ),
            DEEPSEEK3,
        ],
    ),
    row(&["laguna"], &[Expression(r"[^\n]+|[\n]+"), QWEN2]),
    row(
        &["exaone-moe"],
        &[Expression(concat!(
            endings!(),
            r"|[^\r\n\p{L}\p{N}]?\p{L}(?:[\p{L}\p{M}]| \p{L})*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
        ))],
    ),
];

/// DeepSeek LLM's letters: those of the scripts that have capitals.
const CASED_SCRIPTS: &str = concat!(
    r"\s?[A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}\u{370}-\u{373}\u{376}",
    r"\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}",
    r"\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}",
    r"\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}",
    r"\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}",
    r"\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}\u{210a}-\u{2113}",
    r"\u{2115}\u{2119}-\u{211d}\u{2124}\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}\u{2145}-",
    r"\u{2149}\u{214e}\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}",
    r"\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}\u{fb00}-\u{fb06}\u{fb13}-\u{fb17}",
    r"\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}",
    r"-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]+",
);
