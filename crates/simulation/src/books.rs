//! What the nodes ask of the ledger, and a model of it in memory.

use domain::generation::Generation;
use domain::id::{AccountId, GenerationId, NodeId, TransferId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::time::Micros;
use std::collections::BTreeMap;

/// A ledger and the register of nodes beside it. Every call is one transaction.
pub trait Books {
    fn balance(&mut self, account: &LedgerAccount) -> NanoUsd;

    /// Enters a transfer, once by its key.
    fn post(&mut self, transfer: &Transfer);

    /// As [`Books::post`], unless `from` would fall below zero; whether it was entered, now or before.
    fn take(&mut self, from: &LedgerAccount, transfer: &Transfer) -> bool;

    /// Charges what is not charged yet; gives what customers had to add to the node's escrow.
    fn settle(&mut self, node: &NodeId, batch: &[Generation]) -> Vec<(AccountId, NanoUsd)>;

    /// Everything a node has taken.
    fn escrows(&mut self, node: &NodeId) -> Vec<(AccountId, NanoUsd)>;

    /// The node lives; false when it was fenced.
    fn beat(&mut self, node: &NodeId) -> bool;

    /// How often each node said that it lives.
    fn beats(&mut self) -> Vec<(NodeId, i64)>;

    /// Takes everything from a node that has not said so since, and gives it back to whom it belongs.
    fn fence(&mut self, node: &NodeId, beats_seen: i64) -> bool;

    /// The node begins anew; call when everything is settled that it had begun before.
    fn start(&mut self, node: &NodeId);

    /// What the customer paid and what the house bore, once the generation is settled.
    fn charge(&mut self, id: &GenerationId) -> Option<(NanoUsd, NanoUsd)>;

    /// The books are right.
    ///
    /// # Errors
    /// The first difference.
    fn proof(&mut self) -> Result<(), String>;
}

/// The rules of the store, in memory.
#[derive(Default)]
pub struct Model {
    balances: BTreeMap<LedgerAccount, i64>,
    keys: BTreeMap<String, String>,
    charges: BTreeMap<GenerationId, (NanoUsd, NanoUsd)>,
    nodes: BTreeMap<NodeId, Register>,
    /// For ids.
    posted: u64,
}

#[derive(Clone, Copy, Default)]
struct Register {
    beats: i64,
    fenced: bool,
}

impl Model {
    fn of(&self, account: &LedgerAccount) -> i64 {
        self.balances.get(account).copied().unwrap_or_default()
    }

    fn transfer(&mut self, kind: TransferKind, key: String, from: LedgerAccount, to: LedgerAccount, amount: i64) {
        self.posted += 1;
        let transfer = Transfer {
            id: TransferId::stored(format!("tr_{}", self.posted)),
            kind,
            idempotency_key: key,
            legs: legs(from, to, NanoUsd::new(amount)),
            created: Micros::new(0),
        };
        self.post(&transfer);
    }

    fn is_fenced(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|register| register.fenced)
    }

    /// The node's lease is gone: the customer pays what is still there, and the house the rest.
    fn settle_late(&mut self, generation: &Generation) -> (NanoUsd, NanoUsd) {
        let customer = LedgerAccount::Customer(generation.account.clone());
        let paid = generation.cost.get().min(self.of(&customer).max(0));
        let borne = generation.cost.get() - paid;
        let payable = || LedgerAccount::ProviderPayable(generation.provider.clone());
        if paid > 0 {
            let key = format!("charge:{}", generation.id);
            self.transfer(TransferKind::Charge, key, customer, payable(), paid);
        }
        let house = generation.house_cost.get() + borne;
        self.bear(generation, house);
        (NanoUsd::new(paid), NanoUsd::new(house))
    }

    fn settle_from_escrow(&mut self, node: &NodeId, generation: &Generation) -> (NanoUsd, NanoUsd) {
        let escrow = LedgerAccount::Escrow(node.clone(), generation.account.clone());
        let payable = LedgerAccount::ProviderPayable(generation.provider.clone());
        if generation.cost.is_positive() {
            let key = format!("charge:{}", generation.id);
            self.transfer(TransferKind::Charge, key, escrow, payable, generation.cost.get());
        }
        self.bear(generation, generation.house_cost.get());
        (generation.cost, generation.house_cost)
    }

    fn bear(&mut self, generation: &Generation, amount: i64) {
        if amount > 0 {
            let payable = LedgerAccount::ProviderPayable(generation.provider.clone());
            let key = format!("house:{}", generation.id);
            self.transfer(TransferKind::HouseCost, key, LedgerAccount::HouseCost, payable, amount);
        }
    }
}

impl Books for Model {
    fn balance(&mut self, account: &LedgerAccount) -> NanoUsd {
        NanoUsd::new(self.of(account))
    }

    /// # Panics
    /// When the transfer breaks a rule of double entry, or its key belongs to another one.
    fn post(&mut self, transfer: &Transfer) {
        assert_eq!(transfer.check(), Ok(()));
        let body = transfer.body();
        if let Some(before) = self.keys.insert(transfer.idempotency_key.clone(), body.clone()) {
            assert_eq!(before, body, "one key, two transfers");
            return;
        }
        for leg in &transfer.legs {
            *self.balances.entry(leg.account.clone()).or_default() += leg.amount.get();
        }
    }

    fn take(&mut self, from: &LedgerAccount, transfer: &Transfer) -> bool {
        let to_fenced =
            |account: &LedgerAccount| matches!(account, LedgerAccount::Escrow(node, _) if self.is_fenced(node));
        if transfer.kind == TransferKind::LeaseTaken && transfer.legs.iter().any(|leg| to_fenced(&leg.account)) {
            return false;
        }
        if self.keys.contains_key(&transfer.idempotency_key) {
            return true;
        }
        let change: i64 = transfer
            .legs
            .iter()
            .filter(|leg| leg.account == *from)
            .map(|leg| leg.amount.get())
            .sum();
        if self.of(from) + change < 0 {
            return false;
        }
        self.post(transfer);
        true
    }

    fn settle(&mut self, node: &NodeId, batch: &[Generation]) -> Vec<(AccountId, NanoUsd)> {
        let fenced = self.is_fenced(node);
        let mut owing: BTreeMap<AccountId, GenerationId> = BTreeMap::new();
        for generation in batch {
            if self.charges.contains_key(&generation.id) {
                continue;
            }
            let charge = if fenced {
                self.settle_late(generation)
            } else {
                owing.entry(generation.account.clone()).or_insert(generation.id.clone());
                self.settle_from_escrow(node, generation)
            };
            self.charges.insert(generation.id.clone(), charge);
        }
        let mut overruns = Vec::new();
        for (account, first) in owing {
            let escrow = LedgerAccount::Escrow(node.clone(), account.clone());
            let missing = -self.of(&escrow);
            if missing > 0 {
                let customer = LedgerAccount::Customer(account.clone());
                self.transfer(
                    TransferKind::Overrun,
                    format!("overrun:{first}"),
                    customer,
                    escrow,
                    missing,
                );
                overruns.push((account, NanoUsd::new(missing)));
            }
        }
        overruns
    }

    fn escrows(&mut self, node: &NodeId) -> Vec<(AccountId, NanoUsd)> {
        let held = self.balances.iter().filter(|(_, balance)| **balance != 0);
        held.filter_map(|(account, balance)| match account {
            LedgerAccount::Escrow(of, owner) if of == node => Some((owner.clone(), NanoUsd::new(*balance))),
            _ => None,
        })
        .collect()
    }

    fn beat(&mut self, node: &NodeId) -> bool {
        let register = self.nodes.entry(node.clone()).or_default();
        register.beats += 1;
        !register.fenced
    }

    fn beats(&mut self) -> Vec<(NodeId, i64)> {
        let nodes = self.nodes.iter().filter(|(_, register)| !register.fenced);
        nodes.map(|(node, register)| (node.clone(), register.beats)).collect()
    }

    fn fence(&mut self, node: &NodeId, beats_seen: i64) -> bool {
        let register = self.nodes.entry(node.clone()).or_default();
        if register.fenced || register.beats != beats_seen {
            return false;
        }
        register.fenced = true;
        for (account, amount) in self.escrows(node) {
            let key = format!("fence:{node}:{beats_seen}:{account}");
            let escrow = LedgerAccount::Escrow(node.clone(), account.clone());
            let customer = LedgerAccount::Customer(account);
            self.transfer(TransferKind::LeaseReturned, key, escrow, customer, amount.get());
        }
        true
    }

    fn start(&mut self, node: &NodeId) {
        let register = self.nodes.entry(node.clone()).or_default();
        register.beats += 1;
        register.fenced = false;
    }

    fn charge(&mut self, id: &GenerationId) -> Option<(NanoUsd, NanoUsd)> {
        self.charges.get(id).copied()
    }

    fn proof(&mut self) -> Result<(), String> {
        let sum: i64 = self.balances.values().sum();
        if sum != 0 {
            return Err(format!("all balances sum to {sum}"));
        }
        let escrow = |account: &LedgerAccount| matches!(account, LedgerAccount::Escrow(..));
        match self
            .balances
            .iter()
            .find(|(account, balance)| escrow(account) && **balance < 0)
        {
            Some((account, balance)) => Err(format!("{account} is at {balance}")),
            None => Ok(()),
        }
    }
}
