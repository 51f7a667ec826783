"""Every metric of the worker's host."""

from prometheus_client import Counter, Gauge

is_ready = Gauge("qanat_worker_ready", "1 when the worker is registered in consensus.")
running = Gauge("qanat_worker_instances_running", "Instances that are registered and run.")
registrations = Counter(
    "qanat_worker_instance_registrations", "Registrations of instances that the chain took."
)
refused_registrations = Counter(
    "qanat_worker_refused_registrations", "Turns in which an instance was not registered."
)
enclave_starts = Counter("qanat_worker_enclave_starts", "Enclaves of apps that were asked for.")
