//! What endpoints were seen to do when they are left in the middle: stands above what the catalog says.

use arc_swap::ArcSwap;
use domain::catalog::CancelPolicy;
use std::collections::HashMap;
use store::cuts::Evidence;

/// Cancel policies by endpoint, where there is enough evidence for one.
#[derive(Default)]
pub struct Measured(ArcSwap<HashMap<String, CancelPolicy>>);

impl Measured {
    /// How the endpoint is to be treated, whose catalog says `said`.
    pub fn policy(&self, endpoint: &str, said: CancelPolicy) -> CancelPolicy {
        self.0.load().get(endpoint).copied().unwrap_or(said)
    }

    pub fn learn(&self, evidence: &[Evidence]) {
        let verdicts: HashMap<_, _> = evidence
            .iter()
            .filter_map(|one| Some((one.endpoint.clone(), one.verdict()?)))
            .collect();
        if **self.0.load() != verdicts {
            tracing::info!(endpoints.count = verdicts.len(), "cancel policies are measured anew");
            self.0.store(verdicts.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_stands_above_what_is_said() {
        let measured = Measured::default();
        let evidence = |endpoint: &str, billed_on| Evidence {
            endpoint: endpoint.to_owned(),
            cuts: 40,
            telling: 40,
            billed_on,
        };
        measured.learn(&[evidence("on", 40), evidence("stops", 0), evidence("either", 10)]);
        let policy = |endpoint| measured.policy(endpoint, CancelPolicy::Unknown);
        assert_eq!(policy("on"), CancelPolicy::BillsToEnd);
        assert_eq!(policy("stops"), CancelPolicy::Stops);
        assert_eq!(policy("either"), CancelPolicy::Unknown);
        measured.learn(&[]);
        assert_eq!(measured.policy("on", CancelPolicy::Stops), CancelPolicy::Stops);
    }
}
