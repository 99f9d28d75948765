"""A package that came from the archive, and nothing else that apt could take it from."""


def test_package_came_from_the_archive(host):
    assert host.package("chrony").is_installed
    told = host.check_output("apt-cache policy chrony")
    assert "file:/var/lib/aansluitkit-packages/" in told
    assert "http" not in told


def test_older_package_was_upgraded(host):
    assert "~older" not in host.package("chrony").version


def test_one_bundle_is_left(host):
    [folder] = host.check_output("ls /var/lib/aansluitkit-packages").split()
    assert folder != "former"
    assert host.file(f"/var/lib/aansluitkit-packages/{folder}/Packages").mode == 0o644
