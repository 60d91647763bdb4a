//! What must hold after every step of a story, and at its end.

use super::World;
use crate::books::Books;
use domain::id::{AccountId, NodeId};
use domain::ledger::LedgerAccount;
use std::collections::BTreeMap;

impl<B: Books> World<B> {
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.books.proof()?;
        for account in self.accounts.clone() {
            let balance = self.books.balance(&LedgerAccount::Customer(account.clone())).get();
            let excess = self.excess.get(&account).copied().unwrap_or_default();
            if balance < -excess {
                return Err(format!("{account} stands at {balance}, with {excess} beyond holds"));
            }
        }
        self.check_leases()?;
        self.check_charges()
    }

    /// What a node believes to have, it has.
    fn check_leases(&mut self) -> Result<(), String> {
        let living: Vec<NodeId> = self.books.beats().into_iter().map(|(node, _)| node).collect();
        for node in self.nodes.iter().filter(|node| living.contains(&node.id)) {
            let Some(memory) = node.memory.as_ref().filter(|memory| !memory.fenced) else {
                continue;
            };
            for account in &self.accounts {
                let lease = memory.leases.get(account).map_or(0, |lease| lease.remaining().get());
                let running = memory.running.iter().filter(|one| one.generation.account == *account);
                let held: i64 = running.map(|running| running.hold.amount().get()).sum();
                let mut spent = 0;
                for generation in memory.queue.iter().filter(|one| one.account == *account) {
                    if self.books.charge(&generation.id).is_none() {
                        spent += generation.cost.get();
                    }
                }
                let escrow = LedgerAccount::Escrow(node.id.clone(), account.clone());
                let has = self.books.balance(&escrow).get();
                if has < lease + held + spent {
                    let believed = format!("{lease} left, {held} held and {spent} spent");
                    return Err(format!("{} has {has} of {account} and believes in {believed}", node.id));
                }
            }
        }
        Ok(())
    }

    /// Each cost is charged once, to the customer or to the house.
    fn check_charges(&mut self) -> Result<(), String> {
        let mut spent: BTreeMap<&AccountId, i64> = BTreeMap::new();
        let mut late = 0;
        for (id, ended) in &self.ended {
            let Some((cost, house_cost)) = self.books.charge(id) else {
                continue;
            };
            let (cost, house_cost) = (cost.get(), house_cost.get());
            if cost > ended.cost || cost + house_cost != ended.cost + ended.house_cost {
                return Err(format!(
                    "{id} was charged {cost} and {house_cost}, and ended as {ended:?}"
                ));
            }
            late += u64::from(cost < ended.cost);
            *spent.entry(&ended.account).or_default() += cost;
        }
        self.story.late = late;
        for (account, spent) in spent {
            let bought = self.bought.get(account).copied().unwrap_or_default();
            let excess = self.excess.get(account).copied().unwrap_or_default();
            if spent > bought + excess {
                return Err(format!(
                    "{account} spent {spent} of {bought}, with {excess} beyond holds"
                ));
            }
        }
        Ok(())
    }

    /// Nothing is left over.
    pub(super) fn check_end(&mut self) -> Result<(), String> {
        for node in &self.nodes {
            let left = self.books.escrows(&node.id);
            if !left.is_empty() || !node.journal.is_empty() {
                return Err(format!("{} is left with {left:?}", node.id));
            }
        }
        let mut spent: BTreeMap<&AccountId, i64> = BTreeMap::new();
        for (id, ended) in &self.ended {
            let (cost, _) = self.books.charge(id).ok_or_else(|| format!("{id} was never settled"))?;
            *spent.entry(&ended.account).or_default() += cost.get();
        }
        for account in &self.accounts {
            let balance = self.books.balance(&LedgerAccount::Customer(account.clone())).get();
            let bought = self.bought.get(account).copied().unwrap_or_default();
            let spent = spent.get(account).copied().unwrap_or_default();
            if balance != bought - spent {
                return Err(format!("{account} bought {bought}, spent {spent} and has {balance}"));
            }
        }
        Ok(())
    }
}
