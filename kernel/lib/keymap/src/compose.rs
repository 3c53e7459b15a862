//! Dead keys: an accent, then the letter that gets it.

use alloc::vec::Vec;

/// The accents that keys type, as combining characters, with the letters they go on and what comes of it.
#[rustfmt::skip]
const COMPOSED: [(char, &str, &str); 8] = [
    ('\u{300}', "aeiouAEIOU nN",             "àèìòùÀÈÌÒÙ`ǹǸ"),
    ('\u{301}', "aeiouyAEIOUY cnszCNSZlrLR", "áéíóúýÁÉÍÓÚÝ´ćńśźĆŃŚŹĺŕĹŔ"),
    ('\u{302}', "aeiouAEIOU cghjswyCGHJSWY", "âêîôûÂÊÎÔÛ^ĉĝĥĵŝŵŷĈĜĤĴŜŴŶ"),
    ('\u{303}', "anoANO uiUI",               "ãñõÃÑÕ~ũĩŨĨ"),
    ('\u{308}', "aeiouyAEIOUY",              "äëïöüÿÄËÏÖÜŸ"),
    ('\u{30a}', "auAU ",                     "åůÅŮ°"),
    ('\u{30c}', "cdenrstzCDENRSTZ ",         "čďěňřšťžČĎĚŇŘŠŤŽˇ"),
    ('\u{327}', "cstCST ",                   "çşţÇŞŢ¸"),
];

/// An accent and a letter make another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent {
    /// The accent.
    pub accent: char,
    /// The letter.
    pub base: char,
    /// Both.
    pub result: char,
}

/// The accent of a dead key as a character of its own, as Linux's tables name it; `None` if it is no dead key.
pub(crate) fn accent_of(combining: char) -> Option<char> {
    Some(match combining {
        '\u{300}' => '`',
        '\u{301}' => '\'',
        '\u{302}' => '^',
        '\u{303}' => '~',
        '\u{308}' => '"',
        '\u{30a}' => '*',
        '\u{30c}' => 'c',
        '\u{327}' => ',',
        _ => return None,
    })
}

/// All that are known.
pub(crate) fn built_in() -> Vec<Accent> {
    let of_one = |(combining, letters, results): &(char, &'static str, &'static str)| {
        let accent = accent_of(*combining);
        letters
            .chars()
            .zip(results.chars())
            .filter_map(move |(base, result)| accent.map(|accent| Accent { accent, base, result }))
    };
    COMPOSED.iter().flat_map(of_one).collect()
}
