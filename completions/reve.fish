# Completion of reve for fish. Save it as ~/.config/fish/completions/reve.fish: only a file in that folder
# replaces the options that fish reads from the manual page.

function __reve_table -S # set follow, opts and args for a command
    switch "$argv"
        case 'reve'
            set follow \
                'generate'\t'Generate images from a prompt and save them.' \
                'batch'\t'Generate an image for every line of a file.' \
                'wait'\t'Wait until all jobs have ended.' \
                'download'\t'Save the images of finished jobs.' \
                'rerun'\t'Make an image again, with the same request or with changes.' \
                'resume'\t'Finish interrupted jobs that were paid for but not saved.' \
                'status'\t'Show the current state of jobs.' \
                'show'\t'Show how an image was made, and whether its file is unchanged.' \
                'gallery'\t'Write a page with the images of a folder, their prompts and seeds.' \
                'jobs'\t'List the account\'s jobs, newest first.' \
                'account'\t'Show your account, plan and remaining credits.' \
                'model'\t'Show a model\'s price, limits and availability.' \
                'history'\t'List the jobs started on this machine and their cost, newest first.' \
                'webhook'\t'Receive webhooks, check their signatures, and send test events.' \
                'doctor'\t'Check settings, key, network and journal, and suggest fixes.' \
                'help'\t'Show help for a topic or a command.' \
                'auth'\t'Store, check and remove the API key.' \
                'config'\t'Show and change settings.' \
                'sandbox'\t'Simulate the API on this machine: no key, no account, no charge.'
            set opts \
                '--version -V'\t'-'\t'Print the version.' \
                '--show-completion'\t'bash zsh fish powershell'\t'Print a completion script: bash, zsh, fish, powershell.' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve generate'
            set follow
            set opts \
                '--prompt-file'\t':files'\t'Read the prompt from a file.' \
                '--out -o'\t':files'\t'A file, an existing folder, a name template, or - for standard output (default: the setting output_folder, else the current folder). See reve help templates.' \
                '--force'\t'-'\t'Replace existing files.' \
                '--preview --no-preview'\t'-'\t'Draw images on the terminal (default: the setting preview). See reve help pictures.' \
                '--open'\t'-'\t'Open the image, or the first of several, in the desktop\'s viewer.' \
                '--metadata'\t'embed sidecar none'\t'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.' \
                '--quality'\t''\t'Quality of JPEG, WebP, AVIF: 1 to 100.' \
                '--seed'\t'random none'\t'The same seed usually reproduces the same image. random chooses one and prints it; none sends no seed (default: the setting seed).' \
                '--count -n'\t''\t'Number of images, 1 to 100. Each one is charged.' \
                '--aspect-ratio --ar'\t'16:9 9:16 3:2 2:3 4:3 3:4 1:1'\t'One of 16:9, 9:16, 3:2, 2:3, 4:3, 3:4, 1:1 (default: the setting aspect_ratio, else the API\'s choice).' \
                '--model-version'\t''\t'Version of the model, such as latest.' \
                '--model'\t''\t'Model to use (default reve-create).' \
                '--webhook-url'\t''\t'URL that the API sends job events to.' \
                '+--webhook-event'\t'progress completed failed'\t'Event to send: progress, completed, failed. Repeatable.' \
                '--listen'\t''\t'Wait for webhooks on PORT or HOST:PORT instead of polling. See reve help webhooks.' \
                '--no-wait'\t'-'\t'Print the job id and exit without waiting.' \
                '--dry-run'\t'-'\t'Print the request as JSON without sending it.' \
                '--idempotency-key'\t''\t'Within 24 hours, the same key makes only one job.' \
                '--once'\t''\t'Make it only once under this name (such as a CI run id), on any machine, for 24 hours.' \
                '--new'\t'-'\t'Start over instead of continuing an interrupted run.' \
                '--max-credits'\t''\t'Submit nothing if the cost could exceed N credits.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ''
        case 'reve batch'
            set follow
            set opts \
                '--out -o'\t':files'\t'Output folder, or a template such as \'pics/{slug}-{job}.{ext}\'.' \
                '--force'\t'-'\t'Replace existing files.' \
                '--metadata'\t'embed sidecar none'\t'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.' \
                '--quality'\t''\t'Quality of JPEG, WebP, AVIF: 1 to 100.' \
                '--format'\t''\t'Read FILE as text, csv, tsv, jsonl, json, xlsx or ods (default: from its extension).' \
                '--encoding'\t''\t'Encoding of FILE, such as cp1252 (default: UTF-8).' \
                '+--column'\t''\t'Read the column NAME as FIELD, such as prompt=Text. Repeatable.' \
                '--strip'\t'-'\t'Remove bullets, numbers and quotation marks around text lines.' \
                '--seeds'\t''\t'Seeds for every line, such as 1-8 or 1,5.' \
                '--ratios'\t''\t'Aspect ratios for every line, such as 1:1,16:9.' \
                '--seed'\t''\t'Seed for lines without one.' \
                '--aspect-ratio --ar'\t'16:9 9:16 3:2 2:3 4:3 3:4 1:1'\t'One of 16:9, 9:16, 3:2, 2:3, 4:3, 3:4, 1:1 (default: the setting aspect_ratio, else the API\'s choice).' \
                '--model-version'\t''\t'Version of the model, such as latest.' \
                '--model'\t''\t'Model to use (default reve-create).' \
                '--run'\t''\t'Start or continue the run of this name, on any machine.' \
                '--new'\t'-'\t'Start over: generate all images again.' \
                '--shard'\t''\t'Only part I of N of the file; needs --run. See reve help shards.' \
                '--retries'\t''\t'Retries for jobs that fail for lack of capacity.' \
                '--fail-fast'\t'-'\t'Stop submitting after the first failure.' \
                '--max-failures'\t''\t'Stop submitting after N failures.' \
                '--max-credits'\t''\t'Submit nothing if the cost could exceed N credits.' \
                '--rate'\t''\t'Maximum requests per minute.' \
                '--concurrency'\t''\t'Maximum number of jobs in flight.' \
                '--webhook-url'\t''\t'URL that the API sends job events to.' \
                '--listen'\t''\t'Wait for webhooks on PORT or HOST:PORT instead of polling. See reve help webhooks.' \
                '--dry-run'\t'-'\t'Print the requests of missing images as JSON without sending them.' \
                '--report'\t':files'\t'Write the table again, with status, file, jobId, credits and error of each row.' \
                '--gallery'\t'-'\t'Show the images on the page gallery.html in the output folder.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':files'
        case 'reve wait'
            set follow
            set opts \
                '--out -o'\t':files'\t'Save the images to a file, an existing folder, a name template, or - for standard output (default: save none). See reve help templates.' \
                '--force'\t'-'\t'Replace existing files.' \
                '--preview --no-preview'\t'-'\t'Draw images on the terminal (default: the setting preview). See reve help pictures.' \
                '--open'\t'-'\t'Open the image, or the first of several, in the desktop\'s viewer.' \
                '--listen'\t''\t'Wait for webhooks on PORT or HOST:PORT instead of polling. See reve help webhooks.' \
                '--metadata'\t'embed sidecar none'\t'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.' \
                '--quality'\t''\t'Quality of JPEG, WebP, AVIF: 1 to 100.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':reve' \
                '+'
        case 'reve download'
            set follow
            set opts \
                '--out -o'\t':files'\t'A file, an existing folder, a name template, or - for standard output (default: the setting output_folder, else the current folder). See reve help templates.' \
                '--force'\t'-'\t'Replace existing files.' \
                '--metadata'\t'embed sidecar none'\t'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.' \
                '--quality'\t''\t'Quality of JPEG, WebP, AVIF: 1 to 100.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':reve' \
                '+'
        case 'reve rerun'
            set follow
            set opts \
                '--out -o'\t':files'\t'A file, an existing folder, a name template, or - for standard output (default: the setting output_folder, else the current folder). See reve help templates.' \
                '--force'\t'-'\t'Replace existing files.' \
                '--preview --no-preview'\t'-'\t'Draw images on the terminal (default: the setting preview). See reve help pictures.' \
                '--open'\t'-'\t'Open the image, or the first of several, in the desktop\'s viewer.' \
                '--metadata'\t'embed sidecar none'\t'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.' \
                '--quality'\t''\t'Quality of JPEG, WebP, AVIF: 1 to 100.' \
                '--seed'\t'random none'\t'Seed of the new image. random chooses one and prints it; none sends no seed (default: the image\'s own).' \
                '--count -n'\t''\t'Number of images, 1 to 100. Each one is charged.' \
                '--aspect-ratio --ar'\t'16:9 9:16 3:2 2:3 4:3 3:4 1:1'\t'One of 16:9, 9:16, 3:2, 2:3, 4:3, 3:4, 1:1 (default: the image\'s own).' \
                '--model-version'\t''\t'Version of the model (default: the image\'s own).' \
                '--model'\t''\t'Model to use (default: the image\'s own).' \
                '--dry-run'\t'-'\t'Print the request as JSON without sending it.' \
                '--once'\t''\t'Make it only once under this name (such as a CI run id), on any machine, for 24 hours.' \
                '--new'\t'-'\t'Start over instead of continuing an interrupted run.' \
                '--max-credits'\t''\t'Submit nothing if the cost could exceed N credits.' \
                '--yes -y'\t'-'\t'Make the image without asking. See reve help pictures.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':reve'
        case 'reve resume'
            set follow
            set opts \
                '--dry-run'\t'-'\t'Show what would be done, without doing it.' \
                '--abandon'\t'-'\t'Give up the named jobs instead of finishing them.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':reve' \
                '+'
        case 'reve status'
            set follow
            set opts \
                '--exit-status'\t'-'\t'Exit with 5 if a job failed, 75 if one is still running.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':reve' \
                '+'
        case 'reve show'
            set follow
            set opts \
                '--preview --no-preview'\t'-'\t'Draw images on the terminal (default: the setting preview). See reve help pictures.' \
                '--open'\t'-'\t'Open the image, or the first of several, in the desktop\'s viewer.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':reve'
        case 'reve gallery'
            set follow
            set opts \
                '--history'\t'-'\t'Show the images that the journal lists, from any folder.' \
                '--since'\t''\t'Only jobs started since then: a date, a time, or an age such as 90m, 24h, 7d or 2w.' \
                '--until'\t''\t'Only jobs started until then. A date includes the whole day.' \
                '--search'\t''\t'Only jobs with this text in prompt, path, job id or key.' \
                '--out -o'\t':files'\t'Path of the page (default: gallery.html in DIR; with --history, in the current folder).' \
                '--force'\t'-'\t'Replace existing files.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':files'
        case 'reve jobs'
            set follow
            set opts \
                '+--status'\t'QUEUED PROCESSING COMPLETED FAILED CANCELLED queued processing completed failed cancelled'\t'Only jobs with this status: QUEUED, PROCESSING, COMPLETED, FAILED, CANCELLED; upper or lower case. Repeatable.' \
                '--model'\t''\t'Only jobs of this model.' \
                '--scope'\t'user team'\t'Whose jobs: user (your own, the default) or team (admins only).' \
                '--job'\t''\t'Only the job with this id.' \
                '--since'\t''\t'Only jobs created since then: a date, a time, or an age such as 90m, 24h, 7d or 2w.' \
                '--until'\t''\t'Only jobs created until then. A date includes the whole day.' \
                '--limit'\t''\t'Take the newest N; 0 takes all (default: 20 in a table on a terminal, else all).' \
                '--download'\t'-'\t'Save the images of completed jobs that have not expired.' \
                '--out -o'\t':files'\t'A file, an existing folder, a name template, or - for standard output (default: the setting output_folder, else the current folder). See reve help templates.' \
                '--force'\t'-'\t'Replace existing files.' \
                '--metadata'\t'embed sidecar none'\t'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.' \
                '--quality'\t''\t'Quality of JPEG, WebP, AVIF: 1 to 100.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve account' 'reve auth status'
            set follow
            set opts \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve model'
            set follow
            set opts \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                'reve-create'
        case 'reve history'
            set follow \
                'show'\t'Show everything known about a job, with every attempt.'
            set opts \
                '+--state'\t'unfinished intent sending accepted completed saved refused abandoned failed expired mismatch'\t'Only jobs in this state: unfinished, intent, sending, accepted, completed, saved, refused, abandoned, failed, expired, mismatch. Repeatable.' \
                '--since'\t''\t'Only jobs started since then: a date, a time, or an age such as 90m, 24h, 7d or 2w.' \
                '--until'\t''\t'Only jobs started until then. A date includes the whole day.' \
                '--search'\t''\t'Only jobs with this text in prompt, path, job id or key.' \
                '--limit'\t''\t'Show the newest N; 0 shows all (default: 20 on a terminal, else all).' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve history show' 'reve config get' 'reve config unset'
            set follow
            set opts \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':reve'
        case 'reve webhook'
            set follow \
                'listen'\t'Receive and print events, and save the images of their jobs.' \
                'verify'\t'Check the signature of an event on standard input.' \
                'send'\t'Send a signed event to a URL, to try a receiver.'
            set opts \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve webhook listen'
            set follow
            set opts \
                '--host'\t''\t'Address to listen on.' \
                '--port'\t''\t'Port to listen on; 0 picks a free port.' \
                '--path'\t':files'\t'Path of the URL; other paths are refused.' \
                '--out -o'\t''\t'Also save the images of jobs without a path of their own, into this folder.' \
                '--force'\t'-'\t'Replace existing files.' \
                '--forward-to'\t''\t'Forward each event to this URL: https, or http on this machine.' \
                '+--event'\t'progress completed failed'\t'Print, count and forward only this event: progress, completed, failed. Repeatable.' \
                '+--for'\t''\t'Stop when this job has ended. Repeatable.' \
                '--count -n'\t''\t'Stop after N events.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '+--api-key-file'\t':files'\t'Read an API key from a file. Repeatable.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve webhook verify'
            set follow
            set opts \
                '--signature'\t''\t'The value of X-Webhook-Signature.' \
                '--headers'\t':files'\t'File with the headers, one per line, as curl -i prints them.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '+--api-key-file'\t':files'\t'Read an API key from a file. Repeatable.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve webhook send'
            set follow
            set opts \
                '--to'\t''\t'URL to send the event to: https, or http on this machine.' \
                '--job'\t''\t'Id of the job (default: a new one).' \
                '--times'\t''\t'Send the event N times.' \
                '--tamper'\t'-'\t'Change the body after signing it.' \
                '--hex'\t'-'\t'Sign with the secret\'s hex text instead of its bytes.' \
                '--body'\t':files'\t'Send this file instead of an example.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                'progress completed failed'
        case 'reve doctor'
            set follow
            set opts \
                '--listen'\t''\t'Also check that webhooks can arrive on PORT or HOST:PORT.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve help'
            set follow \
                'batch'\t'Make an image for every line of a file.' \
                'shards'\t'Divide a batch among many machines.' \
                'templates'\t'Choose where images go and what they are called.' \
                'json'\t'Read the output of --json, field by field.' \
                'exit-codes'\t'What each exit code means.' \
                'money'\t'What is charged, and how reve avoids paying twice.' \
                'journal'\t'How reve remembers jobs, and how to continue them.' \
                'configuration'\t'Set defaults, and store the API key.' \
                'environment'\t'Environment variables that reve reads.' \
                'files'\t'Where reve keeps settings, the journal and rescued images.' \
                'pictures'\t'See how an image was made, convert it, and make it again.' \
                'security'\t'What reve does with your API key and with untrusted data.' \
                'ci'\t'Make images in a pipeline, and pay once even if it runs again.' \
                'webhooks'\t'Receive the API\'s reports about jobs instead of polling.' \
                'agents'\t'Use reve from a coding agent without spending by mistake.' \
                'containers'\t'Run reve in a container.' \
                'sandbox'\t'Try commands and scripts without a key, account or charge.' \
                'faults'\t'Failures that the sandbox can simulate, to test scripts.' \
                'completion'\t'Complete words in your shell with the Tab key.' \
                'generate'\t'Generate images from a prompt and save them.' \
                'wait'\t'Wait until all jobs have ended.' \
                'download'\t'Save the images of finished jobs.' \
                'rerun'\t'Make an image again, with the same request or with changes.' \
                'resume'\t'Finish interrupted jobs that were paid for but not saved.' \
                'status'\t'Show the current state of jobs.' \
                'show'\t'Show how an image was made, and whether its file is unchanged.' \
                'gallery'\t'Write a page with the images of a folder, their prompts and seeds.' \
                'jobs'\t'List the account\'s jobs, newest first.' \
                'account'\t'Show your account, plan and remaining credits.' \
                'model'\t'Show a model\'s price, limits and availability.' \
                'history'\t'List the jobs started on this machine and their cost, newest first.' \
                'webhook'\t'Receive webhooks, check their signatures, and send test events.' \
                'doctor'\t'Check settings, key, network and journal, and suggest fixes.' \
                'help'\t'Show help for a topic or a command.' \
                'auth'\t'Store, check and remove the API key.' \
                'config'\t'Show and change settings.'
            set opts \
                '--man'\t'-'\t'Print the manual page, to view with man -l.' \
                '--schema'\t'-'\t'For json: print a JSON Schema of all documents.' \
                '--skill'\t'-'\t'For agents: print the topic as a SKILL.md file.' \
                '--install'\t'-'\t'For agents: write reve/SKILL.md into a folder (default .agents/skills).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                '' \
                '+'
        case 'reve help batch' 'reve help shards' 'reve help templates' 'reve help json' 'reve help exit-codes' 'reve help money' 'reve help journal' 'reve help configuration' 'reve help environment' 'reve help files' 'reve help pictures' 'reve help security' 'reve help ci' 'reve help webhooks' 'reve help agents' 'reve help containers' 'reve help sandbox serve' 'reve help sandbox reset' 'reve help faults' 'reve help completion' 'reve help generate' 'reve help wait' 'reve help download' 'reve help rerun' 'reve help resume' 'reve help status' 'reve help show' 'reve help gallery' 'reve help jobs' 'reve help account' 'reve help model' 'reve help history show' 'reve help webhook listen' 'reve help webhook verify' 'reve help webhook send' 'reve help doctor' 'reve help help' 'reve help auth login' 'reve help auth status' 'reve help auth logout' 'reve help config list' 'reve help config get' 'reve help config set' 'reve help config unset' 'reve help config path'
            set follow
            set opts \
                '--man'\t'-'\t'Print the manual page, to view with man -l.' \
                '--schema'\t'-'\t'For json: print a JSON Schema of all documents.' \
                '--skill'\t'-'\t'For agents: print the topic as a SKILL.md file.' \
                '--install'\t'-'\t'For agents: write reve/SKILL.md into a folder (default .agents/skills).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                '' \
                '+'
        case 'reve help sandbox'
            set follow \
                'serve'\t'Run the simulated API until interrupted.' \
                'reset'\t'Delete the simulated jobs and the sandbox\'s key.'
            set opts \
                '--man'\t'-'\t'Print the manual page, to view with man -l.' \
                '--schema'\t'-'\t'For json: print a JSON Schema of all documents.' \
                '--skill'\t'-'\t'For agents: print the topic as a SKILL.md file.' \
                '--install'\t'-'\t'For agents: write reve/SKILL.md into a folder (default .agents/skills).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                '' \
                '+'
        case 'reve help history'
            set follow \
                'show'\t'Show everything known about a job, with every attempt.'
            set opts \
                '--man'\t'-'\t'Print the manual page, to view with man -l.' \
                '--schema'\t'-'\t'For json: print a JSON Schema of all documents.' \
                '--skill'\t'-'\t'For agents: print the topic as a SKILL.md file.' \
                '--install'\t'-'\t'For agents: write reve/SKILL.md into a folder (default .agents/skills).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                '' \
                '+'
        case 'reve help webhook'
            set follow \
                'listen'\t'Receive and print events, and save the images of their jobs.' \
                'verify'\t'Check the signature of an event on standard input.' \
                'send'\t'Send a signed event to a URL, to try a receiver.'
            set opts \
                '--man'\t'-'\t'Print the manual page, to view with man -l.' \
                '--schema'\t'-'\t'For json: print a JSON Schema of all documents.' \
                '--skill'\t'-'\t'For agents: print the topic as a SKILL.md file.' \
                '--install'\t'-'\t'For agents: write reve/SKILL.md into a folder (default .agents/skills).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                '' \
                '+'
        case 'reve help auth'
            set follow \
                'login'\t'Check an API key and store it.' \
                'status'\t'Show where the API key comes from and whose it is.' \
                'logout'\t'Remove the stored API key.'
            set opts \
                '--man'\t'-'\t'Print the manual page, to view with man -l.' \
                '--schema'\t'-'\t'For json: print a JSON Schema of all documents.' \
                '--skill'\t'-'\t'For agents: print the topic as a SKILL.md file.' \
                '--install'\t'-'\t'For agents: write reve/SKILL.md into a folder (default .agents/skills).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                '' \
                '+'
        case 'reve help config'
            set follow \
                'list'\t'List all settings with their values and sources.' \
                'get'\t'Print the value of a setting, or nothing if it has none.' \
                'set'\t'Change a setting in your config file.' \
                'unset'\t'Remove a setting from your config file, even an unknown one.' \
                'path'\t'Print the path of your config file.'
            set opts \
                '--man'\t'-'\t'Print the manual page, to view with man -l.' \
                '--schema'\t'-'\t'For json: print a JSON Schema of all documents.' \
                '--skill'\t'-'\t'For agents: print the topic as a SKILL.md file.' \
                '--install'\t'-'\t'For agents: write reve/SKILL.md into a folder (default .agents/skills).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                '' \
                '+'
        case 'reve auth'
            set follow \
                'login'\t'Check an API key and store it.' \
                'status'\t'Show where the API key comes from and whose it is.' \
                'logout'\t'Remove the stored API key.'
            set opts \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve auth login'
            set follow
            set opts \
                '--with-key'\t'-'\t'Read the key from standard input.' \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--api-key-file'\t':files'\t'Read the API key from a file.' \
                '--timeout'\t''\t'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve auth logout' 'reve config list' 'reve config path'
            set follow
            set opts \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve config'
            set follow \
                'list'\t'List all settings with their values and sources.' \
                'get'\t'Print the value of a setting, or nothing if it has none.' \
                'set'\t'Change a setting in your config file.' \
                'unset'\t'Remove a setting from your config file, even an unknown one.' \
                'path'\t'Print the path of your config file.'
            set opts \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve config set'
            set follow
            set opts \
                '--json'\t'-'\t'Print one JSON document per line.' \
                '--quiet -q'\t'-'\t'Print results and errors only.' \
                '--debug'\t'-'\t'Show each request and response.' \
                '--sandbox'\t'-'\t'Use a simulated API: no key, no charge.' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args \
                ':reve' \
                ':reve'
        case 'reve sandbox'
            set follow \
                'serve'\t'Run the simulated API until interrupted.' \
                'reset'\t'Delete the simulated jobs and the sandbox\'s key.'
            set opts \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve sandbox serve'
            set follow
            set opts \
                '--port'\t''\t'Port to listen on; 0 picks a free port.' \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
        case 'reve sandbox reset'
            set follow
            set opts \
                '--help -h'\t'-'\t'Show this message and exit.'
            set args
    end
end

function __reve_kind -S # set kind to the values of an option
    set kind -
    for row in $opts
        set -l parts (string split \t -- $row)
        if contains -- $argv[1] (string split ' ' -- (string trim -l -c + -- $parts[1]))
            set kind $parts[2]
        end
    end
end

function __reve_starting # print the other words, if they begin with the first
    string match -r -- '^'(string escape --style=regex -- "$argv[1]")'.*' $argv[2..-1]
end

function __reve_values # print the values $argv[1] that begin with $argv[2], each after $argv[3]
    switch "$argv[1]"
        case :reve
            return 1
        case :files
            echo :files
        case '*'
            set -l found (__reve_starting "$argv[2]" (string split -n ' ' -- "$argv[1]"))
            string join \n -- "$argv[3]"$found
    end
    return 0
end

function __reve_options -S # print the options that begin with $argv[1]
    for row in $opts
        set -l parts (string split \t -- $row)
        set -l names (string split ' ' -- (string trim -l -c + -- $parts[1]))
        set -l gone
        for name in $names
            if contains -- $name $given; and not string match -q -- '+*' $parts[1]
                set gone yes
            end
        end
        if test -z "$gone"
            for name in (__reve_starting $argv[1] $names)
                string join \t -- $name $parts[3]
            end
        end
    end
end

function __reve_fixed # print the candidates for the first word after the others; fail if reve has to be asked
    set -l word $argv[1]
    set -l place reve
    set -l number 0
    set -l given
    set -l pending
    set -l ended
    set -l kind
    set -l follow
    set -l opts
    set -l args
    __reve_table reve
    for each in $argv[2..-1]
        if test -n "$pending"
            set pending
            string match -q -r -- '^(-[[:alpha:]]|--)' $each; or continue
        end
        if test "$ended$each" = --
            set ended yes
        else if string match -q -r -- '^-.' "$ended$each"
            set -a given (string replace -r '=.*' '' -- $each) (string sub -l 2 -- $each) # -n4 is -n
            __reve_kind $each
            test "$kind" = -; or set pending $each
        else
            set number (math $number + 1)
            if test $number -eq 1; and contains -- $each (string replace -r '\t.*' '' -- $follow)
                test "$place" = reve; or set given
                set place "$place $each"
                set number 0
                __reve_table $place
            end
        end
    end
    if test -z "$ended"
        if string match -q -r -- '^--[^=]*=' $word
            set -l option (string replace -r '=.*' '' -- $word)
            __reve_kind $option
            test "$kind" != -; or set kind
            __reve_values "$kind" (string replace -r '^[^=]*=' '' -- $word) $option=
            return
        end
        if test -n "$pending"
            __reve_values "$kind" "$word" ''
            return
        end
        if string match -q -r -- '^-' $word
            __reve_options $word
            return 0
        end
    end
    set -l most (count $args)
    if set -q follow[1]
        if test $number -eq 0
            __reve_starting "$word" $follow
        end
        return 0
    end
    if test $most -gt 1; and test "$args[-1]" = +; and test $number -ge (math $most - 1)
        set number (math $most - 2)
    end
    if test $number -lt $most
        set number (math $number + 1)
        __reve_values "$args[$number]" "$word" ''
        return
    end
    if test -z "$word$ended"
        __reve_options -
    end
    return 0
end

function __reve_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l word (string replace -r -a '[\'"\\\\]' '' -- "$typed")
    set -l lines (__reve_fixed "$word" $words[2..-1])
    if test $status -ne 0
        set -l command (string replace -r '^~/' "$HOME/" -- $words[1])
        command -q -- $command; or set command reve # a function of another name
        set lines (env _REVE_COMPLETE=words _REVE_COMPLETE_WORD="$word" $command $words[2..-1] 2>/dev/null </dev/null)
    end
    if test "$lines" = :files
        set -l option (string match -r '^--[^=]*=' -- $word)
        set -l path (string replace -r '^--[^=]*=' '' -- "$typed")
        for file in (complete -C "__fish_command_without_completions $path")
            echo "$option$file"
        end
    else
        string join \n -- $lines
    end
end

complete -c reve -f -k -a '(__reve_complete)'
