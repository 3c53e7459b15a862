//! Select graphic rendition: `CSI ... m`.

use crate::cell::{Attributes, Color, Style};
use vte::Params;

/// Applies the parameters to a style. Unknown ones are passed over.
pub(crate) fn select(style: &mut Style, params: &Params) {
    if params.is_empty() {
        *style = Style { attributes: style.attributes & Attributes::PROTECTED, ..Style::default() };
    }
    let mut params = params.iter();
    while let Some(param) = params.next() {
        let attributes = &mut style.attributes;
        match param[0] {
            0 => *style = Style { attributes: *attributes & Attributes::PROTECTED, ..Style::default() },
            1 => attributes.insert(Attributes::BOLD),
            2 => attributes.insert(Attributes::DIM),
            3 => attributes.insert(Attributes::ITALIC),
            4 => underline(attributes, param.get(1).copied().unwrap_or(1)),
            5 | 6 => attributes.insert(Attributes::BLINK),
            7 => attributes.insert(Attributes::INVERSE),
            8 => attributes.insert(Attributes::HIDDEN),
            9 => attributes.insert(Attributes::STRUCK),
            21 => underline(attributes, 2),
            22 => attributes.remove(Attributes::BOLD | Attributes::DIM),
            23 => attributes.remove(Attributes::ITALIC),
            24 => underline(attributes, 0),
            25 => attributes.remove(Attributes::BLINK),
            27 => attributes.remove(Attributes::INVERSE),
            28 => attributes.remove(Attributes::HIDDEN),
            29 => attributes.remove(Attributes::STRUCK),
            code @ 30..=37 => style.foreground = Color::Indexed(code as u8 - 30),
            38 => style.foreground = extended(param, &mut params).unwrap_or(style.foreground),
            39 => style.foreground = Color::Default,
            code @ 40..=47 => style.background = Color::Indexed(code as u8 - 40),
            48 => style.background = extended(param, &mut params).unwrap_or(style.background),
            49 => style.background = Color::Default,
            // The colour of underlines is not kept, but its parameters must be passed over.
            58 => drop(extended(param, &mut params)),
            code @ 90..=97 => style.foreground = Color::Indexed(code as u8 - 90 + 8),
            code @ 100..=107 => style.background = Color::Indexed(code as u8 - 100 + 8),
            _ => {}
        }
    }
}

fn underline(attributes: &mut Attributes, kind: u16) {
    attributes.remove(Attributes::UNDERLINE | Attributes::DOUBLE_UNDERLINE);
    match kind {
        0 => {}
        2 => attributes.insert(Attributes::DOUBLE_UNDERLINE),
        _ => attributes.insert(Attributes::UNDERLINE),
    }
}

/// The colour behind 38 or 48: `5;n` or `2;r;g;b` as parameters of their own, or behind colons (`2:<space>:r:g:b`, with
/// or without the colour space).
fn extended<'a>(param: &[u16], params: &mut impl Iterator<Item = &'a [u16]>) -> Option<Color> {
    let byte = |value: u16| u8::try_from(value).ok();
    if param.len() > 1 {
        return match *param {
            [_, 5, index, ..] => Some(Color::Indexed(byte(index)?)),
            [_, 2, red, green, blue] | [_, 2, _, red, green, blue, ..] => {
                Some(Color::Rgb(byte(red)?, byte(green)?, byte(blue)?))
            }
            _ => None,
        };
    }
    let mut next = || params.next().map(|param| param[0]);
    match next()? {
        5 => Some(Color::Indexed(byte(next()?)?)),
        2 => {
            let (red, green, blue) = (next()?, next()?, next()?);
            Some(Color::Rgb(byte(red)?, byte(green)?, byte(blue)?))
        }
        _ => None,
    }
}
