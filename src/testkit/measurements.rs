//! A store measures itself in a way that can be shown, and says how far its feed is behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::samples::{create_all, flow};
use crate::repository::{FeedLag, FlowRepository, MeasurementKind, RepositoryError};

/// Measurements have names as Prometheus wants them, each once with each label, those of a name together; counters do not
/// fall; and there is an answer also after the close.
pub async fn measurements_are_well_formed(repository: Arc<dyn FlowRepository>) {
    let before = repository.measurements();
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let after = repository.measurements();
    let mut known = HashSet::new();
    let mut families = HashSet::new();
    for measurement in &after {
        let name = measurement.name;
        assert!(known.insert((name, measurement.label)), "{name} is there twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "`{name}` is no name");
        assert!(measurement.help.ends_with('.'), "{name}: `{}` is no sentence", measurement.help);
        assert_eq!(name.ends_with("_total"), measurement.kind == MeasurementKind::Counter, "{name}");
        assert!(measurement.value.is_finite() && measurement.value >= 0.0, "{measurement:?}");
        if measurement.kind == MeasurementKind::Counter {
            let first = before.iter().find(|first| (first.name, first.label) == (name, measurement.label));
            let first = first.unwrap_or_else(|| panic!("{name} was not there from the start"));
            assert!(first.value <= measurement.value, "{name} fell");
        }
    }
    for family in after.chunk_by(|one, next| one.name == next.name) {
        assert!(families.insert(family[0].name), "{} is in two places", family[0].name);
        assert!(family.iter().all(|one| (one.kind, one.help) == (family[0].kind, family[0].help)), "{family:?}");
    }
    repository.close().await;
    for measurement in repository.measurements() {
        assert!(measurement.value.is_finite(), "{measurement:?}");
    }
}

/// When nobody writes, nothing is held back. A closed store cannot tell, or has nothing to hold back. Somebody else's transaction may hold
/// the feed back for a while.
pub async fn feed_lag_is_known_and_falls_to_nothing(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    let falling = async {
        loop {
            let lag = repository.feed_lag().await.expect("the store is open");
            if lag.held_back == 0 {
                assert_eq!(lag.behind, Duration::ZERO, "nothing is behind");
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), falling).await.expect("the feed goes on");
    repository.close().await;
    let closed = repository.feed_lag().await;
    assert!(
        matches!(closed, Ok(FeedLag { held_back: 0, .. }) | Err(RepositoryError::Unavailable { .. })),
        "{closed:?}"
    );
}
