"""`python -m pipelines.storage`: copies the receipts and reports of the latest jobs into this checkout."""

import sys

from pipelines.storage.outputs import main
from r2mrf.errors import UserError
from r2mrf.system.address import redacted

if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {redacted(str(error))}")
