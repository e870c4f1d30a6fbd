"""A study in SQL: opened, resumed and queried here. Optuna's own tables, and ours beside them.

`stored.StudyReader` reads, `store.StudyWriter` is what a driver writes with. Nothing in this folder imports
torch.
"""
