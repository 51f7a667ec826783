"""Every metric of the key manager's host."""

from prometheus_client import Counter, Gauge

is_ready = Gauge("qanat_keymanager_ready", "1 when keys of this epoch can be had from this node.")
epoch = Gauge("qanat_keymanager_epoch", "Epoch that the enclave has verified.")
generations = Gauge("qanat_keymanager_master_generations", "Master secrets the enclave holds.")
ephemeral_epochs = Gauge(
    "qanat_keymanager_ephemeral_epochs", "Epochs whose ephemeral secrets the enclave holds."
)
registrations = Counter("qanat_keymanager_registrations", "Registrations of this node.")
publications = Counter(
    "qanat_keymanager_publications", "Secrets published by this node, by kind.", ["kind"]
)
refused_publications = Counter(
    "qanat_keymanager_refused_publications",
    "Secrets that consensus refused, mostly because another member was first.",
    ["kind"],
)
replications = Counter("qanat_keymanager_replications", "Replications from another member.")
lost_epochs = Counter(
    "qanat_keymanager_lost_epochs", "Epochs given up because every key manager had restarted."
)
session_messages = Counter(
    "qanat_keymanager_session_messages", "Messages of attested sessions handed to the enclave."
)
