//! Transfers and generations, as nodes make them.

use super::World;
use crate::books::Books;
use domain::api_key::KeyHash;
use domain::generation::{Generation, Outcome};
use domain::id::{AccountId, GenerationId, TransferId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::{NanoUsd, PicoUsd};
use domain::price::Prices;
use domain::time::Micros;
use domain::usage::Usage;

impl<B: Books> World<B> {
    pub(super) fn lease_returned(&mut self, at: usize, account: AccountId, amount: NanoUsd) -> Transfer {
        let escrow = LedgerAccount::Escrow(self.nodes[at].id.clone(), account.clone());
        let customer = LedgerAccount::Customer(account);
        self.transfer(TransferKind::LeaseReturned, escrow, customer, amount.get())
    }

    pub(super) fn transfer(
        &mut self,
        kind: TransferKind,
        from: LedgerAccount,
        to: LedgerAccount,
        amount: i64,
    ) -> Transfer {
        self.ids += 1;
        Transfer {
            id: TransferId::stored(format!("tr_world_{}", self.ids)),
            kind,
            idempotency_key: format!("{}:{}", kind.name(), self.ids),
            legs: legs(from, to, NanoUsd::new(amount)),
            created: Micros::new(self.now),
        }
    }

    pub(super) fn generation(&mut self, at: usize, account: &AccountId) -> Generation {
        self.ids += 1;
        let key = account.as_str().trim_start_matches("acc_");
        Generation {
            id: GenerationId::stored(format!("gen-{}", self.ids)),
            node: self.nodes[at].id.clone(),
            account: account.clone(),
            key: KeyHash::stored(format!("hash-{key}")),
            model: self.model.clone(),
            endpoint: "maker/model|acme".to_owned(),
            provider: "acme".to_owned(),
            surface: "chat".to_owned(),
            streamed: true,
            usage: Usage::default(),
            estimated: false,
            cost: NanoUsd::ZERO,
            house_cost: NanoUsd::ZERO,
            prices: Prices {
                prompt: PicoUsd::new(1_000),
                ..Prices::default()
            },
            outcome: Outcome::Failed,
            finish_reason: None,
            native_finish_reason: None,
            upstream_id: None,
            created: Micros::new(self.now),
            first_token_us: None,
            duration_us: 0,
            app_name: None,
            app_url: None,
            attempts: Vec::new(),
        }
    }
}

/// The generation as it ended: a nano-dollar for each token of the prompt.
pub(super) fn priced(generation: Generation, outcome: Outcome, cost: i64) -> Generation {
    let charged = outcome.is_charged();
    Generation {
        outcome,
        usage: Usage {
            prompt: u64::try_from(cost).unwrap_or(0),
            ..Usage::default()
        },
        cost: NanoUsd::new(if charged { cost } else { 0 }),
        house_cost: NanoUsd::new(if charged { 0 } else { cost }),
        ..generation
    }
}
