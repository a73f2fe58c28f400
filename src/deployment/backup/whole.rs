//! Whether a tar archive that flows by is whole: [`Whole`].
//!
//! An engine that reads a file which becomes shorter meanwhile cannot go on with its archive, and ends it there without a
//! word. What came after that file would be missing from a backup, so the archive is followed to its end.

use tar::Header;

use crate::error::{Error, Result};

const BLOCK: usize = 512;

/// Follows an archive from header to header.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    header: Vec<u8>,
    /// Bytes of the content, and of what fills its last block, that are still to come.
    left: u64,
    /// An extended header, while it comes.
    extended: Option<Vec<u8>>,
    /// The size of the next entry, if an extended header said it.
    size: Option<u64>,
    empty_blocks: u32,
}

impl Whole {
    /// Looks at the next bytes.
    ///
    /// # Errors
    /// They are no tar archive.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                if let Some(extended) = &mut self.extended {
                    extended.extend_from_slice(&bytes[..taken]);
                }
                self.left -= taken as u64;
                bytes = &bytes[taken..];
                if self.left == 0 {
                    self.size = self.extended.take().and_then(|text| extended_size(&text)).or(self.size);
                }
                continue;
            }
            let taken = (BLOCK - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.header.len() == BLOCK {
                self.begin()?;
                self.header.clear();
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        if self.header.iter().all(|byte| *byte == 0) {
            self.empty_blocks += 1;
            return Ok(());
        }
        let header = Header::from_byte_slice(&self.header);
        let wrong = |_| Error::new("the engine's archive cannot be understood");
        let kind = header.entry_type();
        let size = header.entry_size().map_err(wrong)?;
        let size = if kind.is_pax_local_extensions() {
            self.extended = Some(Vec::new());
            size
        } else if kind.is_gnu_longname() || kind.is_gnu_longlink() {
            size
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            self.size.take().unwrap_or(size)
        } else {
            self.size = None;
            size
        };
        self.left = size.div_ceil(BLOCK as u64) * BLOCK as u64;
        Ok(())
    }

    /// Whether the archive came to its end, which is two empty blocks.
    pub fn is_whole(&self) -> bool {
        self.left == 0 && self.header.is_empty() && self.empty_blocks >= 2
    }
}

/// The field `size` of a pax header: lines of `LENGTH KEY=VALUE`.
fn extended_size(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(text);
    let value = text.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("size="))?;
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Whole;

    fn archive() -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, size) in [("empty", 0), ("one", 1), ("block", 512), ("more", 5000)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(size as u64);
            archive.append_pax_extensions([("mtime", "1.5".as_bytes())]).unwrap();
            archive.append_data(&mut header, name, vec![7; size].as_slice()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn follow(bytes: &[u8], step: usize) -> bool {
        let mut whole = Whole::default();
        bytes.chunks(step).try_for_each(|part| whole.push(part)).is_ok() && whole.is_whole()
    }

    #[test]
    fn an_archive_is_whole_only_with_its_end() {
        let archive = archive();
        for step in [1, 100, 512, 100_000] {
            assert!(follow(&archive, step), "in steps of {step}");
        }
        for end in (0..archive.len() - 1).step_by(97) {
            assert!(!follow(&archive[..end], 4096), "{end} of {} bytes", archive.len());
        }
    }

    #[test]
    fn a_size_can_stand_in_an_extended_header() {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_pax_extensions([("size", "600".as_bytes()), ("path", "long".as_bytes())]).unwrap();
        let mut bytes = archive.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[7; 1024]);
        assert!(!follow(&bytes, 512));
        bytes.extend_from_slice(&[0; 1024]);
        assert!(follow(&bytes, 512));
    }
}
