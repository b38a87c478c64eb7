//! Where the documents of an import wait: a file without a name in the directory for temporary files (`TMPDIR`), gone with
//! the process whatever happens to it.
//!
//! Memory holds some hundred bytes of each flow, however large its document is.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// A place in the spool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    offset: u64,
    length: u32,
}

/// A spool that is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    file: BufWriter<File>,
    end: u64,
}

/// A spool that is read.
#[derive(Debug)]
pub(super) struct Spool(File);

impl Filling {
    pub(super) fn begin() -> io::Result<Self> {
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
    use super::Filling;

    #[test]
    fn what_was_added_is_read_in_any_order() {
        let mut filling = Filling::begin().unwrap();
        let first = filling.add("ä".as_bytes()).unwrap();
        let second = filling.add_as_json(&["b"]).unwrap();
        let spool = filling.finish().unwrap();
        assert_eq!(spool.json::<Vec<String>>(second).unwrap(), ["b"]);
        assert_eq!(spool.text(first).unwrap(), "ä");
    }
}
