//! A parser of the Prometheus text format.

use std::collections::{BTreeMap, BTreeSet};

/// The samples and families of a response of `/metrics`.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Values by name and labels, as written.
    pub samples: BTreeMap<String, f64>,
    /// The types of families, by name.
    pub families: BTreeMap<String, String>,
}

impl Exposition {
    /// Parses a text. Panics if the text violates the format or the naming rules.
    pub fn parse(text: &str) -> Self {
        let mut read = Self::default();
        let mut family = "";
        assert!(text.ends_with('\n'), "the last line ends with a line feed");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(help.ends_with('.') && !help.ends_with(".."), "{line}");
                family = name;
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, family, "the type follows the help");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert!(read.families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is declared twice");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(sample.starts_with(family), "{line} does not belong to the family {family}");
                let is_new = read.samples.insert(sample.to_owned(), value.parse().unwrap()).is_none();
                assert!(is_new, "{sample} is reported twice");
            }
        }
        read
    }

    pub fn get(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// Returns the names of samples. Names of histograms include their suffixes.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|sample| sample.split('{').next().unwrap()).collect()
    }

    /// Returns the labels of all samples with their values.
    pub fn labels(&self) -> BTreeSet<(&str, &str)> {
        let labels = self.samples.keys().filter_map(|sample| sample.split_once('{')?.1.strip_suffix('}'));
        // No label value of Strom contains a comma or a quotation mark.
        labels.flat_map(|labels| labels.split(',')).filter_map(|label| label.split_once('=')).map(unquoted).collect()
    }
}

fn unquoted<'a>((name, value): (&'a str, &'a str)) -> (&'a str, &'a str) {
    (name, value.trim_matches('"'))
}
