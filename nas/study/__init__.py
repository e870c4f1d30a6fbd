"""A study in SQL: opened, resumed and queried here. Optuna's own tables, and ours beside them.

`store.StudyStore` is the door; nothing in this folder imports torch.
"""
