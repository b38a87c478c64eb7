//! Measurements and the lag of the feed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::samples::{create_all, flow};
use super::waiting::eventually_some;
use crate::repository::{FeedLag, FlowRepository, MeasurementKind, RepositoryError};

/// Measurements have valid Prometheus names, are unique per label, and are grouped by name. Counters never decrease.
/// Measurements are available after the close.
pub async fn measurements_are_well_formed(repository: Arc<dyn FlowRepository>) {
    let before = repository.measurements();
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let after = repository.measurements();
    let mut known = HashSet::new();
    let mut families = HashSet::new();
    for measurement in &after {
        let name = measurement.name;
        assert!(known.insert((name, measurement.label)), "{name} is reported twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "`{name}` is not a valid name");
        assert!(measurement.help.ends_with('.'), "{name}: `{}` is not a sentence", measurement.help);
        assert_eq!(name.ends_with("_total"), measurement.kind == MeasurementKind::Counter, "{name}");
        assert!(measurement.value.is_finite() && measurement.value >= 0.0, "{measurement:?}");
        if measurement.kind == MeasurementKind::Counter {
            let first = before.iter().find(|first| (first.name, first.label) == (name, measurement.label));
            let first = first.unwrap_or_else(|| panic!("{name} is not reported from the start"));
            assert!(first.value <= measurement.value, "{name} decreased");
        }
    }
    for family in after.chunk_by(|one, next| one.name == next.name) {
        assert!(families.insert(family[0].name), "the measurements named {} are not adjacent", family[0].name);
        assert!(family.iter().all(|one| (one.kind, one.help) == (family[0].kind, family[0].help)), "{family:?}");
    }
    repository.close().await.expect("the store is complete");
    for measurement in repository.measurements() {
        assert!(measurement.value.is_finite(), "{measurement:?}");
    }
}

/// Without writers the lag falls to zero. A closed store returns an error or no lag. An open transaction of another
/// session may delay the feed for a while.
pub async fn feed_lag_falls_to_zero(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    let lag = eventually_some("no change is held back", async || {
        let lag = repository.feed_lag().await.expect("the store is open");
        (lag.held_back == 0).then_some(lag)
    });
    assert_eq!(lag.await.behind, Duration::ZERO, "the lag is zero");
    repository.close().await.expect("the store is complete");
    let closed = repository.feed_lag().await;
    assert!(
        matches!(closed, Ok(FeedLag { held_back: 0, .. }) | Err(RepositoryError::Unavailable { .. })),
        "{closed:?}"
    );
}
