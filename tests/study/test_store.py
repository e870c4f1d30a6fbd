"""What the study keeps."""

import json

from nas.recipe import Recipe
from nas.study.storage import open_storage
from nas.study.store import StudyStore


def test_the_password_of_the_database_is_not_stored(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/nas.db", create=True)
    recipe = Recipe.load(storage="postgresql://me:secret@host/database")
    store = StudyStore.create(storage, "study", tmp_path, recipe, 1, {})
    store.take_over(recipe)
    assert "secret" not in json.dumps(store.recipe.model_dump(mode="json"))
    assert b"secret" not in (tmp_path / "nas.db").read_bytes()
