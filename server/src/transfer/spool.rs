//! A spool for documents: an unnamed file in the temporary directory (`TMPDIR`). The operating system deletes it when the
//! process ends for any reason.
//!
//! Because of the spool, a flow takes only some hundred bytes of memory, independently of the size of its document.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// The position of a text in the spool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    offset: u64,
    length: u32,
}

/// A spool that is being written.
#[derive(Debug)]
pub(super) struct SpoolWriter {
    file: BufWriter<File>,
    end: u64,
}

/// A complete spool.
#[derive(Debug)]
pub(super) struct Spool(File);

impl SpoolWriter {
    pub(super) fn create() -> io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(1 << 18, tempfile::tempfile()?), end: 0 })
    }

    pub(super) fn add(&mut self, text: &[u8]) -> io::Result<Slot> {
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.file.write_all(text)?;
        let slot = Slot { offset: self.end, length };
        self.end += u64::from(length);
        Ok(slot)
    }

    pub(super) fn add_as_json(&mut self, value: &impl Serialize) -> io::Result<Slot> {
        self.add(&serde_json::to_vec(value)?)
    }

    pub(super) fn finish(self) -> io::Result<Spool> {
        Ok(Spool(self.file.into_inner().map_err(io::IntoInnerError::into_error)?))
    }
}

impl Spool {
    pub(super) fn text(&self, slot: Slot) -> io::Result<String> {
        let mut text = vec![0; slot.length as usize];
        self.0.read_exact_at(&mut text, slot.offset)?;
        String::from_utf8(text).map_err(io::Error::other)
    }

    pub(super) fn json<T: for<'de> Deserialize<'de>>(&self, slot: Slot) -> io::Result<T> {
        Ok(serde_json::from_str(&self.text(slot)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::SpoolWriter;

    #[test]
    fn texts_are_read_in_any_order() {
        let mut writer = SpoolWriter::create().unwrap();
        let first = writer.add("ä".as_bytes()).unwrap();
        let second = writer.add_as_json(&["b"]).unwrap();
        let spool = writer.finish().unwrap();
        assert_eq!(spool.json::<Vec<String>>(second).unwrap(), ["b"]);
        assert_eq!(spool.text(first).unwrap(), "ä");
    }
}
