//! Numbers and strings as the instructions of pickle spell them.

use std::borrow::Cow;

use super::Node;

/// Python's own limit for integers in decimal, beyond which the time that they cost grows with its square.
const MOST_DIGITS: usize = 4300;

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("its text is not UTF-8 ({error})"))
}

/// The index of PUT and GET.
pub(super) fn index(line: &[u8]) -> Result<u32, String> {
    let number = std::str::from_utf8(line.trim_ascii()).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("`{}` is no index", excerpt(line)))
}

pub(super) fn float(line: &[u8]) -> Result<f64, String> {
    let number = std::str::from_utf8(line.trim_ascii()).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("`{}` is no float", excerpt(line)))
}

/// An integer in decimal.
pub(super) fn integer<'a>(line: &[u8]) -> Result<Node<'a>, String> {
    let line = line.trim_ascii();
    let (negative, digits) = match line.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, line),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(format!("`{}` is no integer", excerpt(line)));
    }
    if let Some(number) = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()) {
        return Ok(Node::Int(number));
    }
    if digits.len() > MOST_DIGITS {
        return Err(format!("an integer of {} digits, expected at most {MOST_DIGITS}", digits.len()));
    }
    // Base 2^32, the lowest first; a word more than needed, for the sign.
    let mut words = vec![0u32; digits.len() / 9 + 2];
    for digit in digits {
        let mut carry = u64::from(digit - b'0');
        for word in &mut words {
            carry += u64::from(*word) * 10;
            *word = carry as u32;
            carry >>= 32;
        }
    }
    if negative {
        let mut carry = true;
        for word in &mut words {
            (*word, carry) = (!*word).overflowing_add(carry.into());
        }
    }
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let length = without_sign_bytes(&bytes).len();
    bytes.truncate(length);
    match small(&bytes) {
        Some(number) => Ok(Node::Int(number)),
        None => Ok(Node::Long(Cow::Owned(bytes))),
    }
}

/// An integer in two's complement, the lowest byte first; no bytes are zero.
pub(super) fn little_endian(bytes: &[u8]) -> Node<'_> {
    let bytes = without_sign_bytes(bytes);
    small(bytes).map_or(Node::Long(Cow::Borrowed(bytes)), Node::Int)
}

/// Without the bytes at the end that say nothing but the sign again.
fn without_sign_bytes(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., below, sign] = bytes
        && ((*sign == 0 && *below < 0x80) || (*sign == 0xff && *below >= 0x80))
    {
        bytes = &bytes[..rest.len() + 1];
    }
    bytes
}

/// The number, where 64 bits hold it.
fn small(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut eight = [if negative { 0xff } else { 0 }; 8];
    eight.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(eight))
}

/// The bytes of a string of Python 2, as `repr` writes it: in quotes, with escapes.
pub(super) fn quoted(line: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let line = line.trim_ascii_end();
    let inner = match line {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => return Err(format!("`{}` is not in quotes", excerpt(line))),
    };
    if !inner.contains(&b'\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = rest.next().ok_or("it ends within an escape")?;
        let byte = match escaped {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'v' => 0x0b,
            b'\\' | b'\'' | b'"' => escaped,
            b'x' => {
                let mut digit = || rest.next().and_then(hex_digit).ok_or("\\x needs two hexadecimal digits");
                (digit()? * 16 + digit()?) as u8
            }
            b'0'..=b'7' => {
                let mut number = u32::from(escaped - b'0');
                for _ in 0..2 {
                    let Some(digit) = rest.next_if(|byte| (b'0'..=b'7').contains(byte)) else { break };
                    number = number * 8 + u32::from(digit - b'0');
                }
                // Python keeps the low byte of \400 and beyond.
                number as u8
            }
            _ => {
                bytes.push(b'\\');
                escaped
            }
        };
        bytes.push(byte);
    }
    Ok(Cow::Owned(bytes))
}

fn hex_digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

/// Text in Python's encoding `raw-unicode-escape`: Latin-1, in which `\u` and four or `\U` and eight hexadecimal digits are
/// a code point; halves of a pair that UTF-16 would need are joined.
pub(super) fn raw_unicode_escape(line: &[u8]) -> Result<Cow<'_, str>, String> {
    let plain = !line.windows(2).any(|two| matches!(two, b"\\u" | b"\\U"));
    if plain && line.is_ascii() {
        return utf8(line).map(Cow::Borrowed);
    }
    let mut text = String::with_capacity(line.len());
    let mut high = None;
    let mut rest = line;
    while let [first, after @ ..] = rest {
        let digits = match rest {
            [b'\\', b'u', ..] => 4,
            [b'\\', b'U', ..] => 8,
            // A backslash before anything else is itself, and so is what follows it.
            [b'\\', other, ..] => {
                single(&mut text, &mut high, u32::from(b'\\'))?;
                single(&mut text, &mut high, (*other).into())?;
                rest = &rest[2..];
                continue;
            }
            _ => 0,
        };
        if digits == 0 {
            single(&mut text, &mut high, (*first).into())?;
            rest = after;
            continue;
        }
        let number = rest.get(2..2 + digits).unwrap_or_default();
        let value = number.iter().try_fold(0u32, |sum, byte| Some(sum.checked_mul(16)? + hex_digit(*byte)?));
        let value = value.filter(|_| number.len() == digits).ok_or_else(|| format!("\\u or \\U needs {digits} digits"))?;
        single(&mut text, &mut high, value)?;
        rest = &rest[2 + digits..];
    }
    if high.is_some() {
        return Err(LONE.into());
    }
    Ok(Cow::Owned(text))
}

const LONE: &str = "its text has half of a pair of surrogates";

/// Adds a code point, of which `high` keeps the first half.
fn single(text: &mut String, high: &mut Option<u32>, value: u32) -> Result<(), String> {
    let value = match (high.take(), value) {
        (None, 0xd800..=0xdbff) => {
            *high = Some(value);
            return Ok(());
        }
        (Some(first), 0xdc00..=0xdfff) => 0x10000 + ((first - 0xd800) << 10) + (value - 0xdc00),
        (Some(_), _) => return Err(LONE.into()),
        (None, value) => value,
    };
    text.push(char::from_u32(value).ok_or_else(|| format!("{value:#x} is no character"))?);
    Ok(())
}

/// The beginning of a line, for an error.
fn excerpt(line: &[u8]) -> String {
    let shown = line.get(..40).unwrap_or(line);
    let dots = if shown.len() < line.len() { "…" } else { "" };
    format!("{}{dots}", shown.escape_ascii())
}
