//! The tables as rows. Private to this crate: what leaves it are the domain's values.

/// The parts of an entity that never differ here: no relations, no hooks.
macro_rules! plain_entity {
    () => {
        #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
        pub(crate) enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    };
}

pub(crate) mod user {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) email: String,
        pub(crate) is_active: bool,
        pub(crate) created_at: i64,
        pub(crate) updated_at: i64,
        /// Who vouches for them; none for an account of this service's own.
        pub(crate) issuer: Option<String>,
    }

    plain_entity!();
}

pub(crate) mod credential {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "user_credentials")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) user_id: Uuid,
        pub(crate) password_hash: String,
        pub(crate) updated_at: i64,
    }

    plain_entity!();
}

pub(crate) mod login {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "logins")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) generation: i64,
        pub(crate) created_at: i64,
        pub(crate) expires_at: i64,
        pub(crate) revoked_at: Option<i64>,
    }

    plain_entity!();
}

pub(crate) mod api_key {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "api_keys")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) name: String,
        pub(crate) prefix: String,
        pub(crate) hash: String,
        /// Names of scopes, with a space between.
        pub(crate) scopes: String,
        pub(crate) created_at: i64,
        pub(crate) expires_at: Option<i64>,
        pub(crate) revoked_at: Option<i64>,
    }

    plain_entity!();
}

pub(crate) mod profile {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "memory_profiles")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) name: String,
        pub(crate) description: Option<String>,
        pub(crate) is_default: bool,
        pub(crate) created_at: i64,
        pub(crate) updated_at: i64,
    }

    plain_entity!();
}

pub(crate) mod session {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_sessions")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) profile_id: Option<Uuid>,
        pub(crate) privacy_mode: String,
        pub(crate) created_at: i64,
        pub(crate) updated_at: i64,
    }

    plain_entity!();
}

pub(crate) mod message {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "chat_messages")]
    #[expect(clippy::struct_field_names, reason = "one column is called model")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) session_id: Uuid,
        pub(crate) seq: i64,
        pub(crate) memory_mode: String,
        pub(crate) status: String,
        pub(crate) role: String,
        pub(crate) content: String,
        pub(crate) model: Option<String>,
        pub(crate) prompt_tokens: Option<i64>,
        pub(crate) completion_tokens: Option<i64>,
        pub(crate) finish_reason: Option<String>,
        pub(crate) memories_used: Option<i64>,
        pub(crate) alive_at: i64,
        pub(crate) created_at: i64,
    }

    plain_entity!();
}

pub(crate) mod memory {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "memories")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) profile_id: Uuid,
        pub(crate) content: String,
        pub(crate) fingerprint: Uuid,
        pub(crate) origin: String,
        pub(crate) version: i64,
        pub(crate) created_at: i64,
        pub(crate) updated_at: i64,
        pub(crate) indexed_version: Option<i64>,
        pub(crate) indexed_vector: bool,
        pub(crate) source_user_id: Option<Uuid>,
        pub(crate) source_message_id: Option<Uuid>,
        pub(crate) source_mode: Option<String>,
    }

    plain_entity!();
}

pub(crate) mod job {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) kind: String,
        pub(crate) subject_id: Uuid,
        pub(crate) profile_id: Uuid,
        pub(crate) state: String,
        pub(crate) attempts: i64,
        pub(crate) available_at: i64,
        pub(crate) locked_until: Option<i64>,
        pub(crate) last_error: Option<String>,
    }

    plain_entity!();
}
