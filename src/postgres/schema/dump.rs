//! Reads the names of the objects in the dump of the schema (`migrations/schema.sql`).

/// The objects in a dump.
#[derive(Debug)]
pub(super) struct Dump {
    /// Tables and sequences.
    pub(super) relations: Vec<String>,
    /// The columns of `flows`.
    pub(super) columns: Vec<String>,
    pub(super) functions: Vec<String>,
    pub(super) triggers: Vec<Trigger>,
}

/// A trigger of a table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub(crate) name: String,
    pub(crate) table: String,
    /// The statement that creates it, with names that the search_path resolves.
    pub(crate) definition: String,
}

impl Dump {
    /// Parses a dump. `pg_dump` begins each statement on a line of its own, and qualifies each name.
    pub(super) fn parse(dump: &str) -> Self {
        let named = |line: &str, prefixes: &[&str]| {
            let rest = prefixes.iter().find_map(|prefix| line.strip_prefix(prefix))?;
            rest.split([' ', '(', ';']).next().map(str::to_owned)
        };
        let lines = || dump.lines();
        let relations = ["CREATE TABLE public.", "CREATE SEQUENCE public."];
        let columns = lines().skip_while(|line| !line.starts_with("CREATE TABLE public.flows ("));
        let columns = columns.skip(1).take_while(|line| !line.starts_with(");"));
        Self {
            relations: lines().filter_map(|line| named(line, &relations)).collect(),
            columns: columns.filter_map(|line| named(line, &["    "])).filter(|name| name != "CONSTRAINT").collect(),
            functions: lines().filter_map(|line| named(line, &["CREATE FUNCTION public."])).collect(),
            triggers: lines().filter_map(Trigger::parse).collect(),
        }
    }
}

impl Trigger {
    fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("CREATE CONSTRAINT TRIGGER ").or_else(|| line.strip_prefix("CREATE TRIGGER "))?;
        let (name, _) = rest.split_once(' ')?;
        let (_, table) = rest.split_once(" ON public.")?;
        let (table, _) = table.split_once(' ')?;
        let definition = line.trim_end_matches(';').replace(" public.", " ");
        Some(Self { name: name.to_owned(), table: table.to_owned(), definition })
    }
}

#[cfg(test)]
mod tests {
    use super::Dump;

    #[test]
    fn names_of_a_dump_are_read() {
        let dump = Dump::parse(
            "CREATE FUNCTION public.strom_log() RETURNS bigint\n\nCREATE TABLE public.flows (\n    id uuid NOT NULL,\n    \
             CONSTRAINT positive CHECK (true)\n);\n\nCREATE CONSTRAINT TRIGGER strom_record AFTER INSERT ON public.flows \
             DEFERRABLE FOR EACH ROW EXECUTE FUNCTION public.strom_record();\n",
        );
        assert_eq!((dump.relations, dump.columns), (vec!["flows".to_owned()], vec!["id".to_owned()]));
        assert_eq!(dump.functions, ["strom_log"]);
        let trigger = &dump.triggers[0];
        assert_eq!((trigger.name.as_str(), trigger.table.as_str()), ("strom_record", "flows"));
        let expected = "CREATE CONSTRAINT TRIGGER strom_record AFTER INSERT ON flows DEFERRABLE FOR EACH ROW EXECUTE FUNCTION \
                        strom_record()";
        assert_eq!(trigger.definition, expected);
    }
}
