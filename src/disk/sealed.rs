//! JSON lines with a checksum that reveals damage.

use serde::Serialize;

/// The beginning of the checksum.
const CHECKSUM: &[u8] = br#"{"crc":""#;
/// The offset of the content that the checksum covers: the other members of the object.
pub(crate) const BODY: usize = CHECKSUM.len() + r#"00000000","#.len();

/// Appends a line: the object with its checksum as the first member. The checksum is the CRC-32 of what follows it.
pub(crate) fn seal(out: &mut Vec<u8>, object: &impl Serialize) {
    out.extend_from_slice(CHECKSUM);
    let checksum = out.len();
    out.extend_from_slice(br#"00000000""#);
    let comma = out.len();
    serde_json::to_writer(&mut *out, object).expect("numbers, times, strings and documents are JSON");
    out[comma] = b',';
    let crc = format!("{:08x}", crc32fast::hash(&out[comma + 1..]));
    out[checksum..checksum + crc.len()].copy_from_slice(crc.as_bytes());
    out.push(b'\n');
}

/// Returns what follows the checksum of a line without its line end. Returns `None` if the line is damaged or has no
/// checksum.
pub(crate) fn body(line: &[u8]) -> Option<&[u8]> {
    let body = line.strip_prefix(CHECKSUM).and_then(|_| line.get(BODY..))?;
    let crc = str::from_utf8(&line[CHECKSUM.len()..CHECKSUM.len() + 8]).ok()?;
    (u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(body)).then_some(body)
}
