//! The same stories on the store itself, beside the model: after every transaction both must say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use domain::account::Email;
use domain::api_key::KeyHash;
use domain::generation::Generation;
use domain::id::{AccountId, GenerationId, GrantId, NodeId, TransferId, UserId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind};
use domain::money::NanoUsd;
use domain::time::Micros;
use simulation::books::{Books, Model};
use simulation::world::{ACCOUNTS, World};
use store::grants::Grant;
use store::keys::Key;
use store::nodes::{self, Beat};
use store::users::NewUser;
use store::{Store, StoreError, generations, grants, ledger, settlement};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SEEDS: u64 = 12;
const STEPS: usize = 150;
const NOW: Micros = Micros::new(1_795_421_106_000_000);
/// Proving the whole ledger takes longer than a step.
const PROOF_EVERY: u64 = 50;

#[test]
fn the_store_keeps_the_rules_of_the_model() {
    for seed in 10_000..10_000 + SEEDS {
        let mut world = World::new(Both::new(), seed);
        if let Err(broken) = world.run(STEPS) {
            panic!("seed {seed}: {broken}\n{:?}", world.story);
        }
        world.books.verify().unwrap();
    }
}

/// The store, and the model beside it.
struct Both {
    model: Model,
    store: Store,
    runtime: Runtime,
    ids: u64,
    proofs: u64,
    _dir: TempDir,
}

impl Both {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("simulation.db").display());
        let store = runtime.block_on(async {
            let store = Store::connect(&url, 2).await.unwrap();
            store.migrate().await.unwrap();
            for number in 0..ACCOUNTS {
                customer(&store, number).await;
            }
            store
        });
        Self {
            model: Model::default(),
            store,
            runtime,
            ids: 0,
            proofs: 0,
            _dir: dir,
        }
    }

    fn verify(&self) -> Result<(), String> {
        self.runtime.block_on(async {
            let verdict = ledger::verify(&mut self.store.read().await.unwrap()).await.unwrap();
            verdict.map(|_| ()).map_err(|difference| difference.to_string())
        })
    }

    /// Credits come as grants, so that they have their lot.
    fn give(&mut self, transfer: &Transfer) {
        let account = transfer.legs[1].account.owner().unwrap().clone();
        let grant = Grant {
            id: GrantId::stored(format!("gr_{}", transfer.idempotency_key)),
            by: UserId::stored(account.as_str().replace("acc", "usr")),
            account,
            amount: transfer.legs[1].amount,
            expires: None,
            note: String::new(),
            created: NOW,
        };
        let (store, ids) = (&self.store, &mut self.ids);
        self.runtime.block_on(async {
            let mut tx = store.begin().await.unwrap();
            grants::grant(&mut tx, &grant, &mut || next(ids), NOW).await.unwrap();
            tx.commit().await.unwrap();
        });
    }
}

impl Books for Both {
    fn balance(&mut self, account: &LedgerAccount) -> NanoUsd {
        let balance = self.runtime.block_on(async {
            ledger::balance(&mut self.store.read().await.unwrap(), account)
                .await
                .unwrap()
        });
        assert_eq!(balance, self.model.balance(account), "{account}");
        balance
    }

    fn post(&mut self, transfer: &Transfer) {
        self.model.post(transfer);
        assert_eq!(transfer.kind, TransferKind::Grant);
        self.give(transfer);
    }

    fn take(&mut self, from: &LedgerAccount, transfer: &Transfer) -> bool {
        let store = &self.store;
        let taken = self.runtime.block_on(async {
            let mut tx = store.begin().await.unwrap();
            match ledger::take(&mut tx, from, transfer).await {
                Ok(taken) => {
                    tx.commit().await.unwrap();
                    taken
                }
                // Of a fenced node.
                Err(ledger::LedgerError::Store(StoreError::Unavailable(_))) => false,
                Err(error) => panic!("{error}"),
            }
        });
        assert_eq!(taken, self.model.take(from, transfer), "{transfer:?}");
        taken
    }

    fn settle(&mut self, node: &NodeId, batch: &[Generation]) -> Vec<(AccountId, NanoUsd)> {
        let (store, ids) = (&self.store, &mut self.ids);
        let settled = self.runtime.block_on(async {
            let mut tx = store.begin().await.unwrap();
            let settled = settlement::settle(&mut tx, node, batch, &mut || next(ids), NOW).await;
            tx.commit().await.unwrap();
            settled.unwrap()
        });
        let overruns = self.model.settle(node, batch);
        assert_eq!(settled.overruns, overruns);
        overruns
    }

    fn escrows(&mut self, node: &NodeId) -> Vec<(AccountId, NanoUsd)> {
        let escrows = self.runtime.block_on(async {
            ledger::escrows(&mut self.store.read().await.unwrap(), node)
                .await
                .unwrap()
        });
        assert_eq!(escrows, self.model.escrows(node));
        escrows
    }

    fn beat(&mut self, node: &NodeId) -> bool {
        let store = &self.store;
        let beat = self.runtime.block_on(async {
            let mut tx = store.begin().await.unwrap();
            let beat = nodes::beat(&mut tx, node, NOW).await.unwrap();
            tx.commit().await.unwrap();
            beat
        });
        assert_eq!(beat == Beat::Alive, self.model.beat(node));
        beat == Beat::Alive
    }

    fn beats(&mut self) -> Vec<(NodeId, i64)> {
        self.model.beats()
    }

    fn fence(&mut self, node: &NodeId, beats_seen: i64) -> bool {
        let (store, ids) = (&self.store, &mut self.ids);
        let rows = self
            .runtime
            .block_on(async { nodes::all(&mut store.read().await.unwrap()).await.unwrap() });
        let moved = self
            .model
            .beats()
            .iter()
            .all(|(other, beats)| other != node || *beats != beats_seen);
        let row = rows.iter().find(|row| row.id == *node).unwrap();
        // The store counts from another start.
        let beats = if moved { row.beats + 1 } else { row.beats };
        let fenced = self.runtime.block_on(async {
            let mut tx = store.begin().await.unwrap();
            let fenced = nodes::fence(&mut tx, node, beats, &mut || next(ids), NOW)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            fenced
        });
        assert_eq!(fenced, self.model.fence(node, beats_seen));
        fenced
    }

    fn start(&mut self, node: &NodeId) {
        let store = &self.store;
        self.runtime.block_on(async {
            let mut tx = store.begin().await.unwrap();
            nodes::start(&mut tx, node, NOW).await.unwrap();
            tx.commit().await.unwrap();
        });
        self.model.start(node);
    }

    fn charge(&mut self, id: &GenerationId) -> Option<(NanoUsd, NanoUsd)> {
        let stored = self.runtime.block_on(async {
            generations::by_id(&mut self.store.read().await.unwrap(), id)
                .await
                .unwrap()
        });
        let charge = stored.map(|generation| (generation.cost, generation.house_cost));
        assert_eq!(charge, self.model.charge(id), "{id}");
        charge
    }

    fn proof(&mut self) -> Result<(), String> {
        self.proofs += 1;
        self.model.proof()?;
        if self.proofs.is_multiple_of(PROOF_EVERY) {
            self.verify()?;
        }
        Ok(())
    }
}

fn next(ids: &mut u64) -> TransferId {
    *ids += 1;
    TransferId::stored(format!("tr_store_{ids}"))
}

async fn customer(store: &Store, number: usize) {
    let (account, user) = (
        AccountId::stored(format!("acc_{number}")),
        UserId::stored(format!("usr_{number}")),
    );
    let email = Email::parse(&format!("{number}@example.org")).unwrap();
    let mut tx = store.begin().await.unwrap();
    let new = NewUser {
        id: user.clone(),
        account: account.clone(),
        email: &email,
        password_hash: "none",
        created: NOW,
    };
    store::users::create(&mut tx, &new).await.unwrap();
    let key = Key {
        hash: KeyHash::stored(format!("hash-{number}")),
        account,
        user,
        name: "Simulation".to_owned(),
        label: "sk".to_owned(),
        limit: None,
        reset: None,
        expires: None,
        disabled: false,
        deleted: false,
        internal: false,
        created: NOW,
        updated: NOW,
        last_used: None,
    };
    store::keys::create(&mut tx, &key).await.unwrap();
    tx.commit().await.unwrap();
}
