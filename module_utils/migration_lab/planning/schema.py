# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads YAML and validates data against the JSON schemas below scenarios/schema/. Needs PyYAML and jsonschema."""

from __future__ import annotations

import hashlib
import json
import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any, Mapping

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from ..model.errors import LabError

# libyaml's reader takes an eighth of the time; a PyYAML that was built without libyaml does not have it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# Digests of what was found valid, the oldest first; a plan reads and validates the same files again and again.
_valid: dict[bytes, None] = {}
_KEPT = 1000


def read_yaml(path: Path) -> Any:
    """The data of a YAML file, the caller's own.

    :raises LabError: when the file cannot be read or is not YAML.
    """
    try:
        # To load a pickle of its own making takes a tenth of the time.
        return pickle.loads(_pickled(path.read_bytes()))
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}); restore it") from error
    except yaml.YAMLError as error:
        raise LabError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


@lru_cache(maxsize=200)
def _pickled(content: bytes) -> bytes:
    return pickle.dumps(yaml.load(content, Loader=_LOADER))


@lru_cache(maxsize=50)
def _validator(rules: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(rules))


def validate(data: Any, schema: Path | Mapping[str, Any], where: str) -> None:
    """Validate data against a JSON schema or the file that has it.

    :param where: where the data comes from, for the error: a file or a variable.
    :raises LabError: naming the entry and field that is wrong.
    """
    rules = schema.read_text() if isinstance(schema, Path) else json.dumps(schema)
    seen = hashlib.sha256(pickle.dumps((rules, data))).digest()
    if seen in _valid:
        return
    error = best_match(_validator(rules).iter_errors(data))
    if error is not None:
        raise LabError(f"{where}: {_place(error, data)}{error.message}")
    while len(_valid) >= _KEPT:
        del _valid[next(iter(_valid))]
    _valid[seen] = None


def _place(error: ValidationError, data: Any) -> str:
    """Where in the data an error is, entries called by their names rather than their positions."""
    parts, here = [], data
    for key in error.absolute_path:
        here = here[key]
        named = isinstance(key, int) and isinstance(here, Mapping) and here.get("name")
        parts.append(f"'{here['name']}'" if named else f"entry {key + 1}" if isinstance(key, int) else str(key))
    return f"{', '.join(parts)}: " if parts else ""
