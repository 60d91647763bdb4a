//! The pages, one file each: view type, then server functions, then component.

pub mod account;
pub mod admin;
pub mod chat;
pub mod docs;
pub mod forgot;
pub mod home;
pub mod mailbox;
pub mod model;
pub mod models;
pub mod not_found;
pub mod rankings;
pub mod reset;
pub mod sign_in;
pub mod sign_up;
pub mod verify;
