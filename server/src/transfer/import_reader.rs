//! Reads and checks the inputs of an import, and spools their documents.

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::io::{self, Read};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::documents;
use super::import::Import;
use super::input_error::InputError;
use super::item::{ImportItem, ImportedFlow};
use super::location::Location;
use super::progress::Progress;
use super::report::{FlowWarning, ItemDetails};
use super::spool::SpoolWriter;
use strom_store::flow::{Examined, Flow, FlowId, MAX_NAME, Path, Refusal, Runtime};

/// Maximum number of flows in one import. Each flow takes some hundred bytes of memory.
pub const MAX_FLOWS: usize = 1_000_000;
/// Maximum number of warnings per flow in the report.
const MAX_WARNINGS: usize = 10;

/// A reader of the inputs of an import.
#[derive(Debug)]
pub struct ImportReader {
    spool: SpoolWriter,
    progress: Arc<dyn Progress>,
    items: Vec<ImportItem>,
    /// The prefix of locations, for each input.
    prefixes: Vec<String>,
    /// The input and location of each flow that can be stored.
    locations: HashMap<FlowId, (usize, Location)>,
}

impl ImportReader {
    /// Starts without inputs.
    ///
    /// # Errors
    /// If the temporary file cannot be created.
    pub fn begin(progress: Arc<dyn Progress>) -> Result<Self, InputError> {
        Ok(Self {
            spool: SpoolWriter::create()?,
            progress,
            items: Vec::new(),
            prefixes: Vec::new(),
            locations: HashMap::new(),
        })
    }

    /// Reads and checks the documents of an input. Error messages contain its name.
    ///
    /// # Errors
    /// If the input cannot be read or split into documents, or a limit is exceeded. The reader must not be used after an
    /// error.
    pub fn add(&mut self, name: Option<&str>, input: impl Read) -> Result<(), InputError> {
        let input_index = self.prefixes.len();
        self.prefixes.push(name.map(|name| format!("{name}: ")).unwrap_or_default());
        documents::read(input, |text, location| {
            let Self { spool, progress, items, prefixes, locations } = self;
            if items.len() == MAX_FLOWS {
                return Err(InputError::TooLarge(format!("the import has over {MAX_FLOWS} flows")));
            }
            let at = |(input, location): (usize, Location), path| format!("{}{}", prefixes[input], location.of(path));
            let here = (input_index, location);
            let item = match Flow::examine(text) {
                Ok(examined) => match locations.entry(examined.flow.id()) {
                    Vacant(free) => {
                        free.insert(here);
                        valid_item(spool, &examined)?
                    }
                    Occupied(first) => {
                        let (here, first) = (at(here, Path::member("id")), at(*first.get(), Path::default()));
                        let id = examined.flow.id();
                        invalid_item(spool, text, format!("{here}: the flow {id} is a duplicate of {first}"))?
                    }
                },
                Err(Refusal { path, reason, .. }) => {
                    invalid_item(spool, text, format!("{}: {reason}", at(here, path)))?
                }
            };
            items.push(item);
            progress.read(items.len());
            Ok(())
        })
    }

    /// Returns the import.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn finish(self) -> Result<Import, InputError> {
        Ok(Import::new(self.spool.finish()?, self.progress, self.items))
    }
}

/// Spools a flow that can be stored.
fn valid_item(spool: &mut SpoolWriter, examined: &Examined) -> io::Result<ImportItem> {
    let Examined { flow, warnings: all, modified, .. } = examined;
    let hash = flow.hash(Runtime::Exclude).map_err(io::Error::other)?;
    let mut warnings: Vec<_> = all.iter().take(MAX_WARNINGS).map(FlowWarning::from).collect();
    if let Some(more) = all.len().checked_sub(MAX_WARNINGS).filter(|more| *more > 0) {
        warnings.push(FlowWarning { path: "$".into(), message: format!("and {more} more") });
    }
    let head = flow.head();
    let document = spool.add(flow.document().get().as_bytes())?;
    let details =
        spool.add_as_json(&ItemDetails { name: Some(head.name.clone()), warnings, ..ItemDetails::default() })?;
    let (auto_restart, is_ephemeral) = (head.auto_restart, flow.is_ephemeral());
    let flow = ImportedFlow { id: head.id, document, hash, modified: *modified, auto_restart, is_ephemeral };
    Ok(ImportItem { details, flow: Some(flow) })
}

/// Spools the reason why a document cannot be stored, with its id and name as far as they can be read.
fn invalid_item(spool: &mut SpoolWriter, text: &str, error: String) -> io::Result<ImportItem> {
    #[derive(Default, Deserialize)]
    struct Identity {
        id: Option<Value>,
        name: Option<Value>,
    }
    let Identity { id, name } = serde_json::from_str(text).unwrap_or_default();
    let short = |value: Option<Value>| Some(value?.as_str()?.chars().take(MAX_NAME).collect());
    let details = ItemDetails { id: short(id), name: short(name), error: Some(error), ..ItemDetails::default() };
    Ok(ImportItem { details: spool.add_as_json(&details)?, flow: None })
}

impl Import {
    /// Reads and checks the documents of one input. Blocks on the input and the disk.
    ///
    /// # Errors
    /// As [`ImportReader::add`]. A document that cannot be stored is not an error but part of the report.
    pub fn read(input: impl Read, progress: Arc<dyn Progress>) -> Result<Self, InputError> {
        let mut reader = ImportReader::begin(progress)?;
        reader.add(None, input)?;
        reader.finish()
    }

    /// Returns an import without flows.
    ///
    /// # Errors
    /// If the temporary file cannot be created.
    pub fn none() -> Result<Self, InputError> {
        Self::read("[]".as_bytes(), Arc::new(()))
    }
}
