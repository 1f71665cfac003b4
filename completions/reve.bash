# Completion of reve for bash 3.2 and later. In ~/.bashrc: eval "$(reve --show-completion bash)"

_reve_table() { # set follow, opts and args for a command
    case $1 in
    reve)
        follow=(
            generate 'Generate images from a prompt and save them.'
            batch 'Generate an image for every line of a file.'
            wait 'Wait until all jobs have ended.'
            download 'Save the images of finished jobs.'
            rerun 'Make an image again, with the same request or with changes.'
            resume 'Finish interrupted jobs that were paid for but not saved.'
            status 'Show the current state of jobs.'
            show 'Show how an image was made, and whether its file is unchanged.'
            gallery 'Write a page with the images of a folder, their prompts and seeds.'
            jobs 'List the account'"'"'s jobs, newest first.'
            account 'Show your account, plan and remaining credits.'
            model 'Show a model'"'"'s price, limits and availability.'
            history 'List the jobs started on this machine and their cost, newest first.'
            webhook 'Receive webhooks, check their signatures, and send test events.'
            doctor 'Check settings, key, network and journal, and suggest fixes.'
            help 'Show help for a topic or a command.'
            auth 'Store, check and remove the API key.'
            config 'Show and change settings.'
            sandbox 'Simulate the API on this machine: no key, no account, no charge.')
        opts=(
            '--version -V' - 'Print the version.'
            --show-completion 'bash zsh fish powershell' 'Print a completion script: bash, zsh, fish, powershell.'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve generate')
        follow=()
        opts=(
            --prompt-file :files 'Read the prompt from a file.'
            '--out -o' :files 'A file, an existing folder, a name template, or - for standard output (default: the setting output_folder, else the current folder). See reve help templates.'
            --force - 'Replace existing files.'
            '--preview --no-preview' - 'Draw images on the terminal (default: the setting preview). See reve help pictures.'
            --open - 'Open the image, or the first of several, in the desktop'"'"'s viewer.'
            --metadata 'embed sidecar none' 'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.'
            --quality '' 'Quality of JPEG, WebP, AVIF: 1 to 100.'
            --seed 'random none' 'The same seed usually reproduces the same image. random chooses one and prints it; none sends no seed (default: the setting seed).'
            '--count -n' '' 'Number of images, 1 to 100. Each one is charged.'
            '--aspect-ratio --ar' '16:9 9:16 3:2 2:3 4:3 3:4 1:1' 'One of 16:9, 9:16, 3:2, 2:3, 4:3, 3:4, 1:1 (default: the setting aspect_ratio, else the API'"'"'s choice).'
            --model-version '' 'Version of the model, such as latest.'
            --model '' 'Model to use (default reve-create).'
            --webhook-url '' 'URL that the API sends job events to.'
            +--webhook-event 'progress completed failed' 'Event to send: progress, completed, failed. Repeatable.'
            --listen '' 'Wait for webhooks on PORT or HOST:PORT instead of polling. See reve help webhooks.'
            --no-wait - 'Print the job id and exit without waiting.'
            --dry-run - 'Print the request as JSON without sending it.'
            --idempotency-key '' 'Within 24 hours, the same key makes only one job.'
            --once '' 'Make it only once under this name (such as a CI run id), on any machine, for 24 hours.'
            --new - 'Start over instead of continuing an interrupted run.'
            --max-credits '' 'Submit nothing if the cost could exceed N credits.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=(
            '')
        ;;
    'reve batch')
        follow=()
        opts=(
            '--out -o' :files 'Output folder, or a template such as '"'"'pics/{slug}-{job}.{ext}'"'"'.'
            --force - 'Replace existing files.'
            --metadata 'embed sidecar none' 'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.'
            --quality '' 'Quality of JPEG, WebP, AVIF: 1 to 100.'
            --format '' 'Read FILE as text, csv, tsv, jsonl, json, xlsx or ods (default: from its extension).'
            --encoding '' 'Encoding of FILE, such as cp1252 (default: UTF-8).'
            +--column '' 'Read the column NAME as FIELD, such as prompt=Text. Repeatable.'
            --strip - 'Remove bullets, numbers and quotation marks around text lines.'
            --seeds '' 'Seeds for every line, such as 1-8 or 1,5.'
            --ratios '' 'Aspect ratios for every line, such as 1:1,16:9.'
            --seed '' 'Seed for lines without one.'
            '--aspect-ratio --ar' '16:9 9:16 3:2 2:3 4:3 3:4 1:1' 'One of 16:9, 9:16, 3:2, 2:3, 4:3, 3:4, 1:1 (default: the setting aspect_ratio, else the API'"'"'s choice).'
            --model-version '' 'Version of the model, such as latest.'
            --model '' 'Model to use (default reve-create).'
            --run '' 'Start or continue the run of this name, on any machine.'
            --new - 'Start over: generate all images again.'
            --shard '' 'Only part I of N of the file; needs --run. See reve help shards.'
            --retries '' 'Retries for jobs that fail for lack of capacity.'
            --fail-fast - 'Stop submitting after the first failure.'
            --max-failures '' 'Stop submitting after N failures.'
            --max-credits '' 'Submit nothing if the cost could exceed N credits.'
            --rate '' 'Maximum requests per minute.'
            --concurrency '' 'Maximum number of jobs in flight.'
            --webhook-url '' 'URL that the API sends job events to.'
            --listen '' 'Wait for webhooks on PORT or HOST:PORT instead of polling. See reve help webhooks.'
            --dry-run - 'Print the requests of missing images as JSON without sending them.'
            --report :files 'Write the table again, with status, file, jobId, credits and error of each row.'
            --gallery - 'Show the images on the page gallery.html in the output folder.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=(
            :files)
        ;;
    'reve wait')
        follow=()
        opts=(
            '--out -o' :files 'Save the images to a file, an existing folder, a name template, or - for standard output (default: save none). See reve help templates.'
            --force - 'Replace existing files.'
            '--preview --no-preview' - 'Draw images on the terminal (default: the setting preview). See reve help pictures.'
            --open - 'Open the image, or the first of several, in the desktop'"'"'s viewer.'
            --listen '' 'Wait for webhooks on PORT or HOST:PORT instead of polling. See reve help webhooks.'
            --metadata 'embed sidecar none' 'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.'
            --quality '' 'Quality of JPEG, WebP, AVIF: 1 to 100.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=(
            :reve
            +)
        ;;
    'reve download')
        follow=()
        opts=(
            '--out -o' :files 'A file, an existing folder, a name template, or - for standard output (default: the setting output_folder, else the current folder). See reve help templates.'
            --force - 'Replace existing files.'
            --metadata 'embed sidecar none' 'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.'
            --quality '' 'Quality of JPEG, WebP, AVIF: 1 to 100.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=(
            :reve
            +)
        ;;
    'reve rerun')
        follow=()
        opts=(
            '--out -o' :files 'A file, an existing folder, a name template, or - for standard output (default: the setting output_folder, else the current folder). See reve help templates.'
            --force - 'Replace existing files.'
            '--preview --no-preview' - 'Draw images on the terminal (default: the setting preview). See reve help pictures.'
            --open - 'Open the image, or the first of several, in the desktop'"'"'s viewer.'
            --metadata 'embed sidecar none' 'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.'
            --quality '' 'Quality of JPEG, WebP, AVIF: 1 to 100.'
            --seed 'random none' 'Seed of the new image. random chooses one and prints it; none sends no seed (default: the image'"'"'s own).'
            '--count -n' '' 'Number of images, 1 to 100. Each one is charged.'
            '--aspect-ratio --ar' '16:9 9:16 3:2 2:3 4:3 3:4 1:1' 'One of 16:9, 9:16, 3:2, 2:3, 4:3, 3:4, 1:1 (default: the image'"'"'s own).'
            --model-version '' 'Version of the model (default: the image'"'"'s own).'
            --model '' 'Model to use (default: the image'"'"'s own).'
            --dry-run - 'Print the request as JSON without sending it.'
            --once '' 'Make it only once under this name (such as a CI run id), on any machine, for 24 hours.'
            --new - 'Start over instead of continuing an interrupted run.'
            --max-credits '' 'Submit nothing if the cost could exceed N credits.'
            '--yes -y' - 'Make the image without asking. See reve help pictures.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=(
            :reve)
        ;;
    'reve resume')
        follow=()
        opts=(
            --dry-run - 'Show what would be done, without doing it.'
            --abandon - 'Give up the named jobs instead of finishing them.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=(
            :reve
            +)
        ;;
    'reve status')
        follow=()
        opts=(
            --exit-status - 'Exit with 5 if a job failed, 75 if one is still running.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=(
            :reve
            +)
        ;;
    'reve show')
        follow=()
        opts=(
            '--preview --no-preview' - 'Draw images on the terminal (default: the setting preview). See reve help pictures.'
            --open - 'Open the image, or the first of several, in the desktop'"'"'s viewer.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            '--help -h' - 'Show this message and exit.')
        args=(
            :reve)
        ;;
    'reve gallery')
        follow=()
        opts=(
            --history - 'Show the images that the journal lists, from any folder.'
            --since '' 'Only jobs started since then: a date, a time, or an age such as 90m, 24h, 7d or 2w.'
            --until '' 'Only jobs started until then. A date includes the whole day.'
            --search '' 'Only jobs with this text in prompt, path, job id or key.'
            '--out -o' :files 'Path of the page (default: gallery.html in DIR; with --history, in the current folder).'
            --force - 'Replace existing files.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            '--help -h' - 'Show this message and exit.')
        args=(
            :files)
        ;;
    'reve jobs')
        follow=()
        opts=(
            +--status 'QUEUED PROCESSING COMPLETED FAILED CANCELLED queued processing completed failed cancelled' 'Only jobs with this status: QUEUED, PROCESSING, COMPLETED, FAILED, CANCELLED; upper or lower case. Repeatable.'
            --model '' 'Only jobs of this model.'
            --scope 'user team' 'Whose jobs: user (your own, the default) or team (admins only).'
            --job '' 'Only the job with this id.'
            --since '' 'Only jobs created since then: a date, a time, or an age such as 90m, 24h, 7d or 2w.'
            --until '' 'Only jobs created until then. A date includes the whole day.'
            --limit '' 'Take the newest N; 0 takes all (default: 20 in a table on a terminal, else all).'
            --download - 'Save the images of completed jobs that have not expired.'
            '--out -o' :files 'A file, an existing folder, a name template, or - for standard output (default: the setting output_folder, else the current folder). See reve help templates.'
            --force - 'Replace existing files.'
            --metadata 'embed sidecar none' 'Where to record how the image was made: embed (in its file), sidecar (in IMAGE.json beside it) or none (default: the setting metadata). See reve help pictures.'
            --quality '' 'Quality of JPEG, WebP, AVIF: 1 to 100.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve account' | 'reve auth status')
        follow=()
        opts=(
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve model')
        follow=()
        opts=(
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=(
            reve-create)
        ;;
    'reve history')
        follow=(
            show 'Show everything known about a job, with every attempt.')
        opts=(
            +--state 'unfinished intent sending accepted completed saved refused abandoned failed expired mismatch' 'Only jobs in this state: unfinished, intent, sending, accepted, completed, saved, refused, abandoned, failed, expired, mismatch. Repeatable.'
            --since '' 'Only jobs started since then: a date, a time, or an age such as 90m, 24h, 7d or 2w.'
            --until '' 'Only jobs started until then. A date includes the whole day.'
            --search '' 'Only jobs with this text in prompt, path, job id or key.'
            --limit '' 'Show the newest N; 0 shows all (default: 20 on a terminal, else all).'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve history show' | 'reve config get' | 'reve config unset')
        follow=()
        opts=(
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            '--help -h' - 'Show this message and exit.')
        args=(
            :reve)
        ;;
    'reve webhook')
        follow=(
            listen 'Receive and print events, and save the images of their jobs.'
            verify 'Check the signature of an event on standard input.'
            send 'Send a signed event to a URL, to try a receiver.')
        opts=(
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve webhook listen')
        follow=()
        opts=(
            --host '' 'Address to listen on.'
            --port '' 'Port to listen on; 0 picks a free port.'
            --path :files 'Path of the URL; other paths are refused.'
            '--out -o' '' 'Also save the images of jobs without a path of their own, into this folder.'
            --force - 'Replace existing files.'
            --forward-to '' 'Forward each event to this URL: https, or http on this machine.'
            +--event 'progress completed failed' 'Print, count and forward only this event: progress, completed, failed. Repeatable.'
            +--for '' 'Stop when this job has ended. Repeatable.'
            '--count -n' '' 'Stop after N events.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            +--api-key-file :files 'Read an API key from a file. Repeatable.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve webhook verify')
        follow=()
        opts=(
            --signature '' 'The value of X-Webhook-Signature.'
            --headers :files 'File with the headers, one per line, as curl -i prints them.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            +--api-key-file :files 'Read an API key from a file. Repeatable.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve webhook send')
        follow=()
        opts=(
            --to '' 'URL to send the event to: https, or http on this machine.'
            --job '' 'Id of the job (default: a new one).'
            --times '' 'Send the event N times.'
            --tamper - 'Change the body after signing it.'
            --hex - 'Sign with the secret'"'"'s hex text instead of its bytes.'
            --body :files 'Send this file instead of an example.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=(
            'progress completed failed')
        ;;
    'reve doctor')
        follow=()
        opts=(
            --listen '' 'Also check that webhooks can arrive on PORT or HOST:PORT.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve help')
        follow=(
            batch 'Make an image for every line of a file.'
            shards 'Divide a batch among many machines.'
            templates 'Choose where images go and what they are called.'
            json 'Read the output of --json, field by field.'
            exit-codes 'What each exit code means.'
            money 'What is charged, and how reve avoids paying twice.'
            journal 'How reve remembers jobs, and how to continue them.'
            configuration 'Set defaults, and store the API key.'
            environment 'Environment variables that reve reads.'
            files 'Where reve keeps settings, the journal and rescued images.'
            pictures 'See how an image was made, convert it, and make it again.'
            security 'What reve does with your API key and with untrusted data.'
            ci 'Make images in a pipeline, and pay once even if it runs again.'
            webhooks 'Receive the API'"'"'s reports about jobs instead of polling.'
            agents 'Use reve from a coding agent without spending by mistake.'
            containers 'Run reve in a container.'
            sandbox 'Try commands and scripts without a key, account or charge.'
            faults 'Failures that the sandbox can simulate, to test scripts.'
            completion 'Complete words in your shell with the Tab key.'
            generate 'Generate images from a prompt and save them.'
            wait 'Wait until all jobs have ended.'
            download 'Save the images of finished jobs.'
            rerun 'Make an image again, with the same request or with changes.'
            resume 'Finish interrupted jobs that were paid for but not saved.'
            status 'Show the current state of jobs.'
            show 'Show how an image was made, and whether its file is unchanged.'
            gallery 'Write a page with the images of a folder, their prompts and seeds.'
            jobs 'List the account'"'"'s jobs, newest first.'
            account 'Show your account, plan and remaining credits.'
            model 'Show a model'"'"'s price, limits and availability.'
            history 'List the jobs started on this machine and their cost, newest first.'
            webhook 'Receive webhooks, check their signatures, and send test events.'
            doctor 'Check settings, key, network and journal, and suggest fixes.'
            help 'Show help for a topic or a command.'
            auth 'Store, check and remove the API key.'
            config 'Show and change settings.')
        opts=(
            --man - 'Print the manual page, to view with man -l.'
            --schema - 'For json: print a JSON Schema of all documents.'
            --skill - 'For agents: print the topic as a SKILL.md file.'
            --install - 'For agents: write reve/SKILL.md into a folder (default .agents/skills).'
            '--help -h' - 'Show this message and exit.')
        args=(
            ''
            +)
        ;;
    'reve help batch' | 'reve help shards' | 'reve help templates' | 'reve help json' | 'reve help exit-codes' | 'reve help money' | 'reve help journal' | 'reve help configuration' | 'reve help environment' | 'reve help files' | 'reve help pictures' | 'reve help security' | 'reve help ci' | 'reve help webhooks' | 'reve help agents' | 'reve help containers' | 'reve help sandbox serve' | 'reve help sandbox reset' | 'reve help faults' | 'reve help completion' | 'reve help generate' | 'reve help wait' | 'reve help download' | 'reve help rerun' | 'reve help resume' | 'reve help status' | 'reve help show' | 'reve help gallery' | 'reve help jobs' | 'reve help account' | 'reve help model' | 'reve help history show' | 'reve help webhook listen' | 'reve help webhook verify' | 'reve help webhook send' | 'reve help doctor' | 'reve help help' | 'reve help auth login' | 'reve help auth status' | 'reve help auth logout' | 'reve help config list' | 'reve help config get' | 'reve help config set' | 'reve help config unset' | 'reve help config path')
        follow=()
        opts=(
            --man - 'Print the manual page, to view with man -l.'
            --schema - 'For json: print a JSON Schema of all documents.'
            --skill - 'For agents: print the topic as a SKILL.md file.'
            --install - 'For agents: write reve/SKILL.md into a folder (default .agents/skills).'
            '--help -h' - 'Show this message and exit.')
        args=(
            ''
            +)
        ;;
    'reve help sandbox')
        follow=(
            serve 'Run the simulated API until interrupted.'
            reset 'Delete the simulated jobs and the sandbox'"'"'s key.')
        opts=(
            --man - 'Print the manual page, to view with man -l.'
            --schema - 'For json: print a JSON Schema of all documents.'
            --skill - 'For agents: print the topic as a SKILL.md file.'
            --install - 'For agents: write reve/SKILL.md into a folder (default .agents/skills).'
            '--help -h' - 'Show this message and exit.')
        args=(
            ''
            +)
        ;;
    'reve help history')
        follow=(
            show 'Show everything known about a job, with every attempt.')
        opts=(
            --man - 'Print the manual page, to view with man -l.'
            --schema - 'For json: print a JSON Schema of all documents.'
            --skill - 'For agents: print the topic as a SKILL.md file.'
            --install - 'For agents: write reve/SKILL.md into a folder (default .agents/skills).'
            '--help -h' - 'Show this message and exit.')
        args=(
            ''
            +)
        ;;
    'reve help webhook')
        follow=(
            listen 'Receive and print events, and save the images of their jobs.'
            verify 'Check the signature of an event on standard input.'
            send 'Send a signed event to a URL, to try a receiver.')
        opts=(
            --man - 'Print the manual page, to view with man -l.'
            --schema - 'For json: print a JSON Schema of all documents.'
            --skill - 'For agents: print the topic as a SKILL.md file.'
            --install - 'For agents: write reve/SKILL.md into a folder (default .agents/skills).'
            '--help -h' - 'Show this message and exit.')
        args=(
            ''
            +)
        ;;
    'reve help auth')
        follow=(
            login 'Check an API key and store it.'
            status 'Show where the API key comes from and whose it is.'
            logout 'Remove the stored API key.')
        opts=(
            --man - 'Print the manual page, to view with man -l.'
            --schema - 'For json: print a JSON Schema of all documents.'
            --skill - 'For agents: print the topic as a SKILL.md file.'
            --install - 'For agents: write reve/SKILL.md into a folder (default .agents/skills).'
            '--help -h' - 'Show this message and exit.')
        args=(
            ''
            +)
        ;;
    'reve help config')
        follow=(
            list 'List all settings with their values and sources.'
            get 'Print the value of a setting, or nothing if it has none.'
            set 'Change a setting in your config file.'
            unset 'Remove a setting from your config file, even an unknown one.'
            path 'Print the path of your config file.')
        opts=(
            --man - 'Print the manual page, to view with man -l.'
            --schema - 'For json: print a JSON Schema of all documents.'
            --skill - 'For agents: print the topic as a SKILL.md file.'
            --install - 'For agents: write reve/SKILL.md into a folder (default .agents/skills).'
            '--help -h' - 'Show this message and exit.')
        args=(
            ''
            +)
        ;;
    'reve auth')
        follow=(
            login 'Check an API key and store it.'
            status 'Show where the API key comes from and whose it is.'
            logout 'Remove the stored API key.')
        opts=(
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve auth login')
        follow=()
        opts=(
            --with-key - 'Read the key from standard input.'
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            --api-key-file :files 'Read the API key from a file.'
            --timeout '' 'Time limit of the command, such as 90, 10m or 2h (default 10m; batch and webhook listen: none).'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve auth logout' | 'reve config list' | 'reve config path')
        follow=()
        opts=(
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve config')
        follow=(
            list 'List all settings with their values and sources.'
            get 'Print the value of a setting, or nothing if it has none.'
            set 'Change a setting in your config file.'
            unset 'Remove a setting from your config file, even an unknown one.'
            path 'Print the path of your config file.')
        opts=(
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve config set')
        follow=()
        opts=(
            --json - 'Print one JSON document per line.'
            '--quiet -q' - 'Print results and errors only.'
            --debug - 'Show each request and response.'
            --sandbox - 'Use a simulated API: no key, no charge.'
            '--help -h' - 'Show this message and exit.')
        args=(
            :reve
            :reve)
        ;;
    'reve sandbox')
        follow=(
            serve 'Run the simulated API until interrupted.'
            reset 'Delete the simulated jobs and the sandbox'"'"'s key.')
        opts=(
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve sandbox serve')
        follow=()
        opts=(
            --port '' 'Port to listen on; 0 picks a free port.'
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    'reve sandbox reset')
        follow=()
        opts=(
            '--help -h' - 'Show this message and exit.')
        args=()
        ;;
    esac
}

_reve_kind() { # set kind to the values of an option
    local i
    kind=-
    for ((i = 0; i < ${#opts[@]}; i += 3)); do
        case " ${opts[i]#+} " in *" $1 "*) kind=${opts[i + 1]} ;; esac
    done
}

_reve_values() { # set lines to the values $1 that begin with $2, each after $3
    local each
    case $1 in
    :reve) return 1 ;;
    :files) lines=(:files) ;;
    *) for each in $1; do
        case $each in "$2"*) lines+=("$3$each") ;; esac
    done ;;
    esac
}

_reve_options() { # set lines to the options that begin with $1
    local i each names
    for ((i = 0; i < ${#opts[@]}; i += 3)); do
        names=${opts[i]}
        case $names in
        +*) names=${names#+} ;;
        *) [ "$given" = ' ' ] || for each in $names; do
            case $given in *" $each "*) continue 2 ;; esac
        done ;;
        esac
        for each in $names; do
            case $each in "$1"*) lines+=("$each"$'\t'"${opts[i + 2]}") ;; esac
        done
    done
}

_reve_fixed() { # set lines for the word $1 after the other words; fail if reve has to be asked
    [ -z "${ZSH_VERSION-}" ] || emulate -L ksh
    local IFS=$' \t\n' word=$1 place=reve given=' ' pending='' ended='' number=0 each kind i
    local -a follow opts args
    shift
    _reve_table reve
    for each in "$@"; do
        if [ -n "$pending" ]; then
            pending=
            case $each in -[[:alpha:]]* | --*) ;; *) continue ;; esac
        fi
        case $ended$each in
        --) ended=1 ;;
        -?*)
            given="$given${each%%=*} ${each:0:2} " # -n4 is -n
            _reve_kind "$each"
            [ "$kind" = - ] || pending=$each
            ;;
        *)
            number=$((number + 1))
            for ((i = 0; i < ${#follow[@]} && number == 1; i += 2)); do
                if [ "${follow[i]}" = "$each" ]; then
                    [ "$place" = reve ] || given=' '
                    place="$place $each" number=0
                    _reve_table "$place"
                    break
                fi
            done
            ;;
        esac
    done
    if [ -z "$ended" ]; then
        case $word in
        --*=*)
            _reve_kind "${word%%=*}"
            _reve_values "${kind#-}" "${word#*=}" "${word%%=*}="
            return
            ;;
        esac
        if [ -n "$pending" ]; then
            _reve_values "$kind" "$word" ''
            return
        fi
        case $word in -*)
            _reve_options "$word"
            return 0
            ;;
        esac
    fi
    if [ ${#follow[@]} -gt 0 ]; then
        for ((i = 0; i < ${#follow[@]} && number == 0; i += 2)); do
            case ${follow[i]} in "$word"*) lines+=("${follow[i]}"$'\t'"${follow[i + 1]}") ;; esac
        done
        return 0
    fi
    i=${#args[@]}
    if [ "$i" -gt 1 ] && [ "${args[i - 1]}" = + ]; then
        [ "$number" -lt $((i - 1)) ] || number=$((i - 2))
    fi
    if [ "$number" -lt "$i" ]; then
        _reve_values "${args[number]}" "$word" ''
    elif [ -z "$word$ended" ]; then
        _reve_options -
    fi
}

_reve() {
    local line=${COMP_LINE:0:COMP_POINT} command=${COMP_WORDS[0]} before value help room rest pattern lists=
    local -a lines typed

    # The words, as a shell splits them: bash splits at = and : too.
    pattern="^[[:space:]]*(([^[:space:]\"'\\]|\\\\.|\"([^\"\\]|\\\\.)*\"|'[^']*')+)"
    rest=$line
    while [[ $rest =~ $pattern ]]; do
        value=${BASH_REMATCH[1]} rest=${rest:${#BASH_REMATCH[0]}}
        typed+=("${value//[\"\'\\]/}")
    done
    value=${rest#"${rest%%[![:space:]]*}"} # what is left has an open quote
    [ "$rest" = "$value" ] || typed+=('')
    rest=${#typed[@]}
    typed[rest-1]=${typed[rest-1]}${value//[\"\'\\]/}

    lines=()
    if ! _reve_fixed "${typed[rest-1]}" "${typed[@]:1:rest-2}"; then
        case $command in "~/"*) command=$HOME/${command:2} ;; esac
        type -P -- "$command" >/dev/null || command=reve # an alias, a quoted path
        while IFS= read -r value; do
            [ -z "$value" ] || lines+=("$value")
        done <<<"$(_REVE_COMPLETE=line "$command" "$line" 2>/dev/null </dev/null)"
    fi

    # Readline replaces $2, the part of the word after the last of COMP_WORDBREAKS; what stands before it stays.
    before=${line##*[[:space:]]}
    before=${before%"$2"}
    before=${before//[\"\'\\]/}

    COMPREPLY=()
    [ ${#lines[@]} -gt 0 ] || return 0
    if [ "${lines[0]}" = :files ]; then
        compopt -o default 2>/dev/null
        return 0
    fi
    compopt -o nosort 2>/dev/null # bash 4.4 and later: the newest job first

    # Where bash only lists the candidates, it shows their help as well: nothing of it is inserted.
    case ${COMP_TYPE-}$2 in
    33-* | 63-* | 64-*) ;;
    33* | 63* | 64*) [ ${#lines[@]} -eq 1 ] || lists=yes ;;
    esac
    for line in "${lines[@]}"; do
        value=${line%%$'\t'*}
        help=${line#"$value"}
        value=${value#"$before"}
        if [ -n "$lists" ] && [ -n "$help" ]; then
            room=$((${COLUMNS:-80} - ${#value} - 3))
            [ "$room" -le 0 ] || value="$value  ${help:1:room}"
        fi
        COMPREPLY+=("$value")
    done
}

if type compopt >/dev/null 2>&1; then
    complete -F _reve reve
else # bash 3: file names wherever there is nothing else
    complete -o default -F _reve reve
fi
