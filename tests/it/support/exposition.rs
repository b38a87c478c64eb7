//! The Prometheus text format, read back.

use std::collections::{BTreeMap, BTreeSet};

/// What a server shows at `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// By name and labels, as they are written.
    pub(crate) samples: BTreeMap<String, f64>,
    /// The types of families, by name.
    pub(crate) families: BTreeMap<String, String>,
}

impl Exposition {
    /// Fails for anything that is not as the format asks.
    pub(crate) fn parse(text: &str) -> Self {
        let mut read = Self::default();
        let mut family = "";
        assert!(text.ends_with('\n'), "the last line is whole");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(help.ends_with('.') && !help.ends_with(".."), "{line}");
                family = name;
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, family, "the type follows the help");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert!(read.families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is there twice");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(sample.starts_with(family), "{line} is not of the family {family}");
                let is_new = read.samples.insert(sample.to_owned(), value.parse().unwrap()).is_none();
                assert!(is_new, "{sample} is there twice");
            }
        }
        read
    }

    pub(crate) fn get(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// The names of samples, those of histograms with their suffixes.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|sample| sample.split('{').next().unwrap()).collect()
    }

    /// The labels of all samples with their values.
    pub(crate) fn labels(&self) -> BTreeSet<(&str, &str)> {
        let labels = self.samples.keys().filter_map(|sample| sample.split_once('{')?.1.strip_suffix('}'));
        // No value of ours has a comma or a quotation mark in it.
        labels.flat_map(|labels| labels.split(',')).filter_map(|label| label.split_once('=')).map(unquoted).collect()
    }
}

fn unquoted<'a>((name, value): (&'a str, &'a str)) -> (&'a str, &'a str) {
    (name, value.trim_matches('"'))
}
