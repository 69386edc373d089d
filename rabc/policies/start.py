"""What a fine-tuning starts from: the content of a policy folder, or the commit of a hub policy.

Imports no torch: a start in which nothing has changed asks for it.
"""

from pathlib import Path

from rabc.policies.door import admit
from rabc.system.errors import InputError
from rabc.system.hashing import folder_hash
from rabc.system.hub import is_hub_id


def start_content(pretrained_path: str | None) -> str | None:
    """What identifies the policy that training starts from; None for one that starts from scratch.

    Of a folder its content (SHA-256, hex); of a hub policy `owner/name@commit`, as far as it is known here.

    Raises:
        InputError: the folder cannot be read, or holds what is not let in (see `rabc.policies.door`).
    """
    if pretrained_path is None:
        return None
    folder = Path(pretrained_path)
    if not folder.is_dir():
        return f"{pretrained_path}@{cached_commit(pretrained_path) or 'main'}"
    try:
        admit(folder)
        return folder_hash(folder)
    except OSError as error:
        raise InputError(
            f"policy.pretrained_path {pretrained_path}: cannot be read ({error.strerror}); check permissions"
        ) from error


def cached_commit(name: str) -> str | None:
    """The commit of a hub policy that was downloaded last; None for one that never was, or for a folder."""
    if Path(name).is_dir() or not is_hub_id(name):
        return None
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", cache_dir=constants.HF_HUB_CACHE)
    return Path(found).parent.name if isinstance(found, str) else None
