"""The lab: a whole connection on one machine, made by the same inventory, program and playbooks as a real one."""
