//! Inputs: files and stdin.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use strom_store::envelope::flow_text;
use strom_store::flow::MAX_SIZE;

/// The maximum size of a text with one flow, including white space.
const MAX_TEXT: usize = 2 * MAX_SIZE;

/// Whether a path means stdin.
pub(super) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Returns the name of an input for messages.
pub(super) fn input_name(file: &Path) -> String {
    if is_stdin(file) { "stdin".to_owned() } else { file.display().to_string() }
}

/// Reads the text of one flow, without a byte order mark and without the envelope `{"flow": {…}}`.
pub(super) fn read_document(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let input: Box<dyn Read> = if is_stdin(file) { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    input.take(MAX_TEXT as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_TEXT {
        return Err(io::Error::other(format!(
            "the text has over {MAX_TEXT} bytes; the maximum size of a flow is {MAX_SIZE}"
        )));
    }
    Ok(flow_text(&text).to_owned())
}
