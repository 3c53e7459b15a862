//! Dead keys: an accent, then the letter that gets it.

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

/// Whether a character is an accent that waits for a letter.
pub(crate) fn is_dead(character: char) -> bool {
    COMPOSED.iter().any(|(accent, _, _)| *accent == character)
}

/// The letter with the accent. The accent twice, or with a space, is the accent itself.
pub(crate) fn compose(accent: char, letter: char) -> Option<char> {
    let (_, letters, composed) = COMPOSED.iter().find(|(known, _, _)| *known == accent)?;
    if letter == accent || letter == ' ' {
        return Some(alone(accent));
    }
    letters.chars().zip(composed.chars()).find(|(from, _)| *from == letter).map(|(_, to)| to)
}

/// The accent as a character of its own.
pub(crate) fn alone(accent: char) -> char {
    match accent {
        '\u{300}' => '`',
        '\u{301}' => '´',
        '\u{302}' => '^',
        '\u{303}' => '~',
        '\u{308}' => '¨',
        '\u{30a}' => '°',
        '\u{30c}' => 'ˇ',
        '\u{327}' => '¸',
        other => other,
    }
}
