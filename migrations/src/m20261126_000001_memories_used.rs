//! How many memories were in the prompt of an answer; null where there was nothing to recall from.

crate::change!();

const SQL: &str = "
alter table chat_messages add column memories_used {int};
";
