//! Text as the editors of other systems write it: [`decode`].

use crate::error::{Error, Result};
use crate::text::shell;

/// The mark that some editors put in front of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a file, without a byte-order mark.
///
/// # Errors
/// It is not UTF-8; of UTF-16 the hint says how it becomes that. `name` is what the error calls it.
pub(crate) fn decode(bytes: Vec<u8>, name: &str) -> Result<String> {
    if is_utf16(&bytes) {
        return Err(Error::new(format!("`{name}` is text in UTF-16, and not in UTF-8")).hint(format!(
            "save it as UTF-8 without a byte-order mark, or turn it into that: `{}`",
            shell::line(["iconv", "-f", "UTF-16", "-t", "UTF-8", name, "-o", &format!("{name}.utf8")])
        )));
    }
    let bytes = bytes.strip_prefix(MARK).map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|_| Error::new(format!("`{name}` is not UTF-8 text")))
}

/// The same of something that is only looked at, whatever it holds.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_prefix(MARK).unwrap_or(bytes)).into_owned()
}

/// Whether it begins with the mark of UTF-16 of either order, or as a text of ASCII in UTF-16 does.
fn is_utf16(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [1..=0x7f, 0, 1..=0x7f, 0, ..] | [0, 1..=0x7f, 0, 1..=0x7f, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::{decode, lossy};

    #[test]
    fn a_mark_is_left_off_and_utf16_gets_a_hint() {
        assert_eq!(decode(b"\xef\xbb\xbfname".to_vec(), "f").unwrap(), "name");
        assert_eq!(decode(b"name\xef\xbb\xbf".to_vec(), "f").unwrap(), "name\u{feff}");
        assert_eq!(lossy(b"\xef\xbb\xbfname\xff"), "name\u{fffd}");
        let little: Vec<u8> = "\u{feff}ab".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}ab".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [little.clone(), little[2..].to_vec(), big.clone(), big[2..].to_vec()] {
            let told = decode(bytes, "my file").unwrap_err().render();
            assert!(told.contains("UTF-16") && told.contains("iconv -f UTF-16 -t UTF-8 'my file'"), "{told}");
        }
        assert!(decode(b"\xe9t\xe9".to_vec(), "f").unwrap_err().to_string().contains("is not UTF-8"));
        assert_eq!(decode(Vec::new(), "f").unwrap(), "");
    }
}
