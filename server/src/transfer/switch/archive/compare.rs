//! Compares an archive with the flows that were written to it.

use crate::transfer::switch::source::Switch;

impl Switch {
    /// Compares this snapshot with another one.
    ///
    /// # Errors
    /// Describes the first difference.
    pub fn compare(&self, other: &Self) -> Result<(), String> {
        if self.items.len() != other.items.len() || self.deleted().len() != other.deleted().len() {
            return Err("the number of flows differs".to_owned());
        }
        let history = |switch: &Self, id| {
            let histories = switch.histories.as_ref()?;
            histories.of_flows.get(&id).map(|history| history.hash)
        };
        let flows = self.items.iter().zip(&*other.items).find(|(this, other_item)| {
            (this.id, &this.version, this.hash) != (other_item.id, &other_item.version, other_item.hash)
                || history(self, this.id) != history(other, other_item.id)
        });
        let deleted = self.deleted().iter().zip(other.deleted());
        let mut deleted =
            deleted.filter(|(this, other)| (this.id, this.history.hash) != (other.id, other.history.hash));
        let different = flows.map(|(this, _)| this.id).or_else(|| deleted.next().map(|(this, _)| this.id));
        different.map_or(Ok(()), |id| Err(format!("the flow {id} differs")))
    }
}
