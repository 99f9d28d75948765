"""The embedded adapter: an ebMS 2.0 message service handler over HTTPS.

Needs the runtime dependencies alone: hosts that run it have no Ansible, Pulumi or pytest.
"""
