//! Postgres only: who writes an answer may write how many memories were in its prompt.

crate::change!(postgres);

const SQL: &str = "
grant update (memories_used) on mc.chat_messages to mc_app;
";
